namespace ShardCloud.Crdt;

/// <summary>A flag inside a transaction. False until it is enabled.</summary>
/// <remarks>
/// Enable wins: enabled while one enabling is live; disabling takes those it has seen. Disable wins: both are votes, each replaces those it
/// has seen, and it is enabled while there are votes and none is against. Under one owner at a time the two read the same; they differ in
/// what a merge of owners that did not see each other gives. Source: Riak's <c>riak_dt_od_flag</c>; <c>ewflag</c> and <c>dwflag</c> of C.
/// Baquero's delta-enabled-crdts (our disable-wins flag starts as false, unlike <c>dwflag</c>).
/// </remarks>
public readonly struct FlagHandle
{
    private readonly DocumentTransaction _transaction;
    private readonly FieldKey[] _path;

    internal FlagHandle(DocumentTransaction transaction, FieldKey[] path) => (_transaction, _path) = (transaction, path);

    /// <summary>Own changes included.</summary>
    public bool IsEnabled => IsOn(_transaction.Find(_path));

    /// <summary>Enables. A flag that is enabled already is enabled anew: where enabling wins, it then survives a concurrent disabling.</summary>
    public void Enable()
    {
        if (_path[^1].Kind == FieldKind.Flag) _transaction.Write(_path, default(Nothing));
        else _transaction.Write(_path, new Vote(true));
    }

    /// <summary>Disables. Changes nothing when it is disabled already.</summary>
    public void Disable()
    {
        if (!IsEnabled) return;
        if (_path[^1].Kind == FieldKind.Flag) _transaction.Clear(_path);
        else _transaction.Write(_path, new Vote(false));
    }

    internal static bool IsOn(CrdtValue? value)
    {
        if (value is not DotValue<Vote> votes) return value is DotValue<Nothing>;
        foreach (ref readonly var vote in votes.Entries)
            if (!vote.Payload.IsFor) return false;
        return !votes.IsBlank;
    }
}

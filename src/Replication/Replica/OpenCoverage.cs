namespace ShardCloud.Replication;

/// <summary>Where the epoch of a Grant is open for convergent endpoints: what the Grant covers, less what was retired since.</summary>
/// <remarks>A retired endpoint costs one number, until all of the Grant is retired and this is forgotten.</remarks>
public sealed class OpenCoverage(GrantCoverage granted)
{
    private readonly List<GrantCoverage> _retired = [];
    private readonly HashSet<ulong> _retiredOne = [];
    private readonly List<GrantCoverage> _retiredSlots = [];

    private OpenCoverage(OpenCoverage other) : this(other.Granted)
    {
        foreach (var scope in other._retired) Add(scope);
    }

    /// <summary>What the Grant covers.</summary>
    public GrantCoverage Granted => granted;

    /// <summary>True where a record of the epoch still counts.</summary>
    public bool Covers(ulong keyHash)
    {
        if (_retiredOne.Contains(keyHash) || !granted.Covers(keyHash)) return false;
        foreach (var scope in _retiredSlots)
            if (scope.Covers(keyHash)) return false;
        return true;
    }

    /// <summary>The epoch ended there.</summary>
    /// <returns>True when nothing is left of it.</returns>
    public bool Retire(GrantCoverage scope)
    {
        Add(scope);
        return granted.IsWithin(_retired);
    }

    /// <summary>As it is now; what is retired later does not show in it.</summary>
    public OpenCoverage Copy() => new(this);

    internal void Write(ByteWriter writer)
    {
        granted.Write(writer);
        writer.Varint(_retired.Count);
        foreach (var scope in _retired) scope.Write(writer);
    }

    internal static OpenCoverage? Read(ref ByteReader reader)
    {
        if (GrantCoverage.Read(ref reader) is not { } granted) return null;
        var open = new OpenCoverage(granted);
        for (var count = reader.Count(bytesEach: 2); count > 0; count--)
        {
            if (GrantCoverage.Read(ref reader) is not { } scope) return null;
            open.Add(scope);
        }
        return open;
    }

    private void Add(GrantCoverage scope)
    {
        _retired.Add(scope);
        foreach (var endpoint in scope.Placed) _retiredOne.Add(endpoint.KeyHash);
        if (scope.Slots.Count > 0) _retiredSlots.Add(scope);
    }
}

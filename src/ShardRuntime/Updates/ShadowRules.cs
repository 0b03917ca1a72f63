namespace ShardCloud.ShardRuntime;

/// <summary>In what the answers of two versions may differ, of one template. They hold for JSON bodies; other bodies, status and content type are to be the same.</summary>
public sealed class ShadowRules
{
    private readonly HashSet<string> _ignored = new(StringComparer.Ordinal);

    internal ShadowRules() { }

    /// <summary>True where a later version may have members that the earlier one does not.</summary>
    internal bool AllowsAddedMembers { get; private set; }

    /// <summary>What is not compared.</summary>
    internal bool Ignores(string pointer) => _ignored.Contains(pointer);

    /// <summary>Leaves places out of the comparison, with all that is in them: what names the shard, the moment, a random number.</summary>
    /// <param name="pointers">JSON pointers (RFC 6901): <c>/shard</c>, <c>/visits/0/at</c>; <c>~1</c> stands for a slash in a name, <c>~0</c> for a tilde.</param>
    /// <exception cref="ShardCloudException">SC1012: one is no JSON pointer.</exception>
    public ShadowRules Ignore(params IEnumerable<string> pointers)
    {
        foreach (var pointer in pointers)
        {
            if (!IsPointer(pointer)) throw ContractErrors.Bad($"'{pointer}' is no JSON pointer (RFC 6901): it is empty or begins with '/', and a '~' in it is followed by 0 or 1.");
            _ignored.Add(pointer);
        }
        return this;
    }

    /// <summary>Members that only the new version's answer has are no difference.</summary>
    public ShadowRules AllowAddedMembers()
    {
        AllowsAddedMembers = true;
        return this;
    }

    internal static bool IsPointer(string pointer)
    {
        if (pointer.Length > 0 && pointer[0] != '/') return false;
        for (var at = pointer.IndexOf('~'); at >= 0; at = pointer.IndexOf('~', at + 1))
            if (at + 1 == pointer.Length || pointer[at + 1] is not ('0' or '1')) return false;
        return true;
    }
}

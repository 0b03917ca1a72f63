namespace ShardCloud.Cli.Demo;

/// <summary>What one room's chat was told: the highest number, and the number of each tag.</summary>
internal sealed class ChatLedger
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, long> _numbers = new(StringComparer.Ordinal);
    private readonly HashSet<string> _said = new(StringComparer.Ordinal);
    private long _highest;

    public long Highest { get { lock (_gate) return _highest; } }

    /// <summary>True once all that was said has a number.</summary>
    public bool IsComplete { get { lock (_gate) return _said.Count == 0; } }

    public int Unheard { get { lock (_gate) return _said.Count; } }

    public void Said(string tag) { lock (_gate) if (!_numbers.ContainsKey(tag)) _said.Add(tag); }

    /// <summary>Somebody heard it; others who are in the room say things without a tag.</summary>
    /// <returns>False: the tag has another number already, so the message took effect twice.</returns>
    public bool Heard(string? tag, long number)
    {
        lock (_gate)
        {
            _highest = Math.Max(_highest, number);
            if (tag is null) return true;
            _said.Remove(tag);
            return _numbers.TryAdd(tag, number) || _numbers[tag] == number;
        }
    }
}

namespace ShardCloud.Cli.Demo;

/// <summary>What one room's clients were told, so that the end can be compared with it: nothing lost, nothing twice.</summary>
internal sealed class RoomLedger(string room)
{
    private readonly Lock _gate = new();
    private readonly HashSet<long> _valuesSeen = [];
    private readonly Dictionary<string, bool> _members = new(StringComparer.Ordinal);
    private readonly HashSet<string> _membersBusy = new(StringComparer.Ordinal);
    private long _acknowledged;
    private long _unknown;
    private long _sameValueTwice;
    private long _highest;
    private long _wentBack;
    private int _nextMember;

    public string Room { get; } = room;

    /// <summary>The highest value any answer so far has shown; what a later read must reach.</summary>
    public long Highest
    {
        get { lock (_gate) return _highest; }
    }

    /// <summary>An increment was answered with this value: each value of a counter can be answered once only.</summary>
    public void Incremented(long value, long highestBefore)
    {
        lock (_gate)
        {
            _acknowledged++;
            if (!_valuesSeen.Add(value)) _sameValueTwice++;
            if (value <= highestBefore) _wentBack++;
            _highest = Math.Max(_highest, value);
        }
    }

    /// <summary>An increment ended without a clear answer: it may have counted or not.</summary>
    public void IncrementUnknown()
    {
        lock (_gate) _unknown++;
    }

    /// <summary>A read was answered: it must show all that was answered before it was asked.</summary>
    public void Read(long value, long highestBefore)
    {
        lock (_gate)
        {
            if (value < highestBefore) _wentBack++;
            _highest = Math.Max(_highest, value);
        }
    }

    /// <summary>The next change of the room's member set: one change of a name at a time, so that the order of answers is the order of effects.</summary>
    public (string Name, bool Add)? NextMemberChange()
    {
        lock (_gate)
        {
            var name = $"member-{_nextMember++ % 8}";
            if (!_membersBusy.Add(name)) return null;
            return (name, !_members.GetValueOrDefault(name));
        }
    }

    public void MemberChanged(string name, bool added, bool certain)
    {
        lock (_gate)
        {
            if (certain)
            {
                _members[name] = added;
                _membersBusy.Remove(name);
            }
            else
            {
                _members.Remove(name); // Stays busy: this name is no longer touched or judged.
            }
        }
    }

    /// <summary>Compares the room as it is now with what was answered.</summary>
    public LedgerVerdict Judge(long value, IReadOnlyCollection<string> members)
    {
        lock (_gate)
        {
            var lost = Math.Max(0, _acknowledged - value) + _wentBack;
            var duplicated = Math.Max(0, value - _acknowledged - _unknown) + _sameValueTwice;
            foreach (var (name, present) in _members)
            {
                if (_membersBusy.Contains(name) || members.Contains(name) == present) continue;
                lost++;
            }
            return new LedgerVerdict(lost, duplicated);
        }
    }
}

/// <param name="Lost">Answered changes that the room does not show, and answers that showed less than an earlier one.</param>
/// <param name="Duplicated">Changes that took effect more than once.</param>
internal readonly record struct LedgerVerdict(long Lost, long Duplicated);

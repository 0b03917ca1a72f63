using ShardCloud.Replication;

namespace ShardCloud.Model.Tests;

/// <summary>A change of the map that the orchestrator may ask for.</summary>
/// <param name="From">Member that has it.</param>
/// <param name="To">Member that gets it; the same as <paramref name="From"/> for a return to the slot.</param>
/// <param name="Slots">Whole slots, and not the endpoint alone.</param>
internal sealed record Move(string From, string To, bool Slots = false);

/// <summary>How large a world is: what may happen in it, and how often. Everything within the bounds is explored.</summary>
internal sealed record Bounds
{
    public required string Name { get; init; }

    public AckMode Ack { get; init; } = AckMode.Log;

    /// <summary>In this order, each once at most, or not at all.</summary>
    public IReadOnlyList<Move> Moves { get; init; } = [];

    /// <summary>Write requests; each may be sent <see cref="Sends"/> times.</summary>
    public int Writes { get; init; } = 1;

    public int Reads { get; init; }

    public int Sends { get; init; } = 2;

    /// <summary>Members that stop for good, in any state.</summary>
    public int Crashes { get; init; }

    /// <summary>Leases of living members that end and are fenced.</summary>
    public int LeaseEnds { get; init; }

    /// <summary>The member whose lease ended does not notice: its clock missed a pause.</summary>
    public bool PausesGoUnseen { get; init; }

    /// <summary>Messages and answers that never arrive.</summary>
    public int Losses { get; init; }

    /// <summary>Deadlines of a seal that pass early.</summary>
    public int Deadlines { get; init; }

    /// <summary>Appends that the producer gives up.</summary>
    public int AppendFailures { get; init; }

    /// <summary>Commits of the map that have nothing to do with the endpoint.</summary>
    public int OtherCommits { get; init; }

    /// <summary>Handlers take time: what they commit comes in a later step than their start.</summary>
    public bool LongHandlers { get; init; }

    /// <summary>Names of members that hear of the map when they do; the others at once.</summary>
    public string LateFollowers { get; init; } = "";

    /// <summary>Names of members that read the log when they do; the others at once.</summary>
    public string LateReaders { get; init; } = "";

    /// <summary>Who may crash or lose its lease.</summary>
    public string Mortals { get; init; } = "abc";
}

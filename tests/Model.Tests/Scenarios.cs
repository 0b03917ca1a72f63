using ShardCloud.Replication;

namespace ShardCloud.Model.Tests;

/// <summary>The worlds that are explored.</summary>
internal static class Scenarios
{
    /// <summary>A handoff; the source may be late in hearing of the map, its deadline may pass.</summary>
    public static readonly Bounds Handoff = new() { Name = "handoff", Moves = [new("a", "b")], Deadlines = 1, LateFollowers = "a" };

    /// <summary>A handoff and one crash, in any state, of any of the three.</summary>
    public static readonly Bounds HandoffAndCrash = new() { Name = "handoff and crash", Moves = [new("a", "b")], Crashes = 1 };

    /// <summary>A handoff that loses a message, or the answer of its grant.</summary>
    public static readonly Bounds HandoffAndLoss = new() { Name = "handoff and loss", Moves = [new("a", "b")], Losses = 1, Reads = 1, Sends = 1 };

    /// <summary>A crash, and a second one during the recovery.</summary>
    public static readonly Bounds TwoCrashes = new() { Name = "two crashes", Crashes = 2, LateReaders = "b", Writes = 2, Sends = 1 };

    /// <summary>A crash of an owner whose writes were answered through its backup.</summary>
    public static readonly Bounds ReplicaCrash = new() { Name = "ack replica and crash", Ack = AckMode.Replica, Crashes = 1 };

    /// <summary>A lease that ends while its holder lives, with answers that leave on the produce ack.</summary>
    public static readonly Bounds LeaseEnds = new() { Name = "ack lease and lease end", Ack = AckMode.Lease, LeaseEnds = 1, Mortals = "a", LateReaders = "a", LateFollowers = "a", Reads = 1 };

    /// <summary>What is explored with all guards.</summary>
    public static readonly IReadOnlyList<Bounds> All = [Handoff, HandoffAndCrash, HandoffAndLoss, TwoCrashes, ReplicaCrash, LeaseEnds];

    /// <summary>For each guard the small world in which its history appears.</summary>
    /// <remarks>G12 (dating of a lease) and G13 (a lease row for each incarnation) need clocks and rows, which this model has not.</remarks>
    public static readonly IReadOnlyList<(Guards Guard, Bounds Bounds)> OfGuards =
    [
        (Guards.G1, new Bounds { Name = "crash", Crashes = 1, Mortals = "a" }),
        (Guards.G2, new Bounds { Name = "plain handoff", Moves = [new("a", "b")] }),
        (Guards.G3, new Bounds { Name = "ack lease, handoff and crash", Ack = AckMode.Lease, Moves = [new("a", "b")], Sends = 1, Crashes = 1, Mortals = "b", LateReaders = "a", LateFollowers = "a" }),
        (Guards.G4, new Bounds { Name = "unseen pause", LeaseEnds = 1, PausesGoUnseen = true, Mortals = "a", LateReaders = "a", LateFollowers = "a" }),
        (Guards.G5, new Bounds { Name = "handoff planned twice", Moves = [new("a", "b"), new("a", "b")], Deadlines = 1, Writes = 0, LateFollowers = "a" }),
        (Guards.G6, new Bounds { Name = "late source", Moves = [new("a", "b")], OtherCommits = 1, LateFollowers = "a", Sends = 1 }),
        (Guards.G7, new Bounds { Name = "endpoint placed, slots moved", Moves = [new("a", "b"), new("a", "c", Slots: true)], Sends = 1 }),
        (Guards.G8, new Bounds { Name = "failed append", Writes = 2, AppendFailures = 1 }),
        (Guards.G9, new Bounds { Name = "ack replica, crash of the owner", Ack = AckMode.Replica, Crashes = 1, Mortals = "a" }),
        (Guards.G10, new Bounds { Name = "handler that outlives its drain budget", Moves = [new("a", "b")], LongHandlers = true }),
        (Guards.G11, new Bounds { Name = "failed append", Writes = 2, AppendFailures = 1 }),
        (Guards.G14, new Bounds { Name = "destination crashes before its grant", Moves = [new("a", "b")], Sends = 1, Crashes = 1, Mortals = "b", LateFollowers = "a" }),
    ];
}

using System.Collections.Concurrent;
using System.Text.Json.Serialization;
using ShardCloud.DurableTask.Protocol;

namespace ShardCloud.LocalCloud.Functions.Hub;

/// <summary>The head row of an unfinished instance. Replacing it, with its ETag, is what commits a change.</summary>
/// <param name="ExecutionId">The generation: a new one with every continue-as-new.</param>
/// <param name="Turns">Committed turns of this generation: history rows beyond it do not count.</param>
/// <param name="NextSequence">Number of the next message.</param>
/// <param name="Status">Pending, Running or Suspended; or how it ended.</param>
/// <param name="CustomStatus">JSON text.</param>
/// <param name="CreatedAt">When the instance (its first generation) was started.</param>
/// <param name="UpdatedAt">When it last changed.</param>
/// <param name="Plan">Key of writes that were too many for the transaction that decided them and still have to be made, or null.</param>
internal sealed record Head(
    string ExecutionId, int Turns, long NextSequence, OrchestrationStatus Status, string? CustomStatus, DateTime CreatedAt, DateTime UpdatedAt, string? Plan = null)
{
    [JsonIgnore]
    public bool IsFinished => Status is OrchestrationStatus.Completed or OrchestrationStatus.Failed or OrchestrationStatus.Terminated or OrchestrationStatus.Canceled;
}

/// <summary>Turns of one instance never overlap, and a message that comes during a turn makes another one.</summary>
internal enum TurnState
{
    Idle,
    Queued,
    Running,
    RunningAndWanted,
}

/// <summary>An activity that was scheduled and has not ended.</summary>
internal sealed record PendingActivity(string ExecutionId, int Id, string Name, string? Input)
{
    public string Key => $"act|{ExecutionId}|{Id:D10}";
}

/// <summary>A timer that has not fired.</summary>
internal sealed record PendingTimer(string ExecutionId, int Id, DateTime FireAt)
{
    public string Key => $"tim|{ExecutionId}|{Id:D10}";
}

/// <summary>A message for another instance. With <see cref="Start"/> it creates that instance.</summary>
/// <param name="Key">Row key in the sender's partition.</param>
/// <param name="Target">Receiver.</param>
/// <param name="Event">Serialized <see cref="HistoryEvent"/>.</param>
/// <param name="Start">True: the event is the receiver's executionStarted.</param>
internal sealed record Outgoing(string Key, string Target, byte[] Event, bool Start);

/// <summary>An unfinished instance in memory: what its partition of the Work table holds, and its history once it was read.</summary>
/// <remarks>Changed only by <see cref="TaskHub"/>, under <see cref="Gate"/>, after the tables have accepted the change.</remarks>
internal sealed class InstanceWork(string id, Head head, string? etag)
{
    public string Id { get; } = id;

    public Head Head { get; set; } = head;

    public string? ETag { get; set; } = etag;

    /// <summary>One change of the partition at a time.</summary>
    public SemaphoreSlim Gate { get; } = new(1);

    /// <summary>Messages for the next turn. Keys sort in order of arrival, what a continue-as-new carried over first.</summary>
    public SortedDictionary<string, HistoryEvent> Inbox { get; } = new(StringComparer.Ordinal);

    public ConcurrentDictionary<string, PendingActivity> Activities { get; } = [];

    public ConcurrentDictionary<string, PendingTimer> Timers { get; } = [];

    public SortedDictionary<string, Outgoing> Outbox { get; } = new(StringComparer.Ordinal);

    /// <summary>Committed events of this generation; null: not read yet.</summary>
    public List<HistoryEvent>? History { get; set; }

    /// <summary>The event that ended the instance, once it has.</summary>
    public HistoryEvent? Completed { get; set; }

    /// <summary>Where its turns stand; guarded by a lock on this object.</summary>
    public TurnState Turn { get; set; }

    /// <summary>True when a write ended in doubt: the tables are to be read again before the next change.</summary>
    public bool IsStale { get; set; }

    public HistoryEvent? Started =>
        (History ?? []).Concat(Inbox.Values).FirstOrDefault(e => e.EventTypeCase == HistoryEvent.EventTypeOneofCase.ExecutionStarted);
}

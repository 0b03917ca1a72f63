using Google.Protobuf;
using ShardCloud.DurableTask.Protocol;

namespace ShardCloud.LocalCloud.Functions.Hub;

/// <summary>Collects the rows of one change of an instance's partition, and the same change in memory, which is made once the tables have it.</summary>
internal sealed class PartitionChange(InstanceWork work)
{
    private readonly List<HubWrite> _writes = [];
    private readonly HashSet<string> _removed = [];
    private readonly List<Action> _inMemory = [];

    public IReadOnlyList<HubWrite> Writes => _writes;

    public long NextSequence { get; private set; } = work.Head.NextSequence;

    /// <summary>Adds a message for the next turn; carried ones come before all others.</summary>
    public void Receive(HistoryEvent message, bool carried = false) =>
        Add(work.Inbox, $"in|{(carried ? 0 : 1)}|{NextSequence++:D12}", message, message.ToByteArray());

    public void Send(Outgoing message)
    {
        message = message with { Key = $"out|{NextSequence++:D12}" };
        Add(work.Outbox, message.Key, message, TaskHub.OutgoingBytes(message));
    }

    public void Add<T>(IDictionary<string, T> to, string key, T value, byte[] data)
    {
        _writes.AddRange(Pieces.Split(HubWriteKind.Put, key, data));
        _inMemory.Add(() => to[key] = value);
    }

    /// <param name="from">Where it is in memory.</param>
    /// <param name="key">Its key.</param>
    /// <param name="length">Bytes of its data: tells how many rows it has.</param>
    public void Remove<T>(IDictionary<string, T> from, string key, int length)
    {
        if (!_removed.Add(key)) return;
        _writes.AddRange(Pieces.Keys(key, length).Select(HubWrite.Delete));
        _inMemory.Add(() => from.Remove(key));
    }

    /// <summary>Drops activities and timers, and messages unless they are kept for the next generation.</summary>
    public void DropOpenWork(bool keepInbox)
    {
        foreach (var activity in work.Activities.Values) Remove(work.Activities, activity.Key, TaskHub.ActivityBytes(activity).Length);
        foreach (var timer in work.Timers.Keys) Remove(work.Timers, timer, 0);
        if (keepInbox) return;
        foreach (var (key, message) in work.Inbox) Remove(work.Inbox, key, message.CalculateSize());
    }

    public void Then(Action inMemory) => _inMemory.Add(inMemory);

    public void Commit()
    {
        foreach (var action in _inMemory) action();
    }
}

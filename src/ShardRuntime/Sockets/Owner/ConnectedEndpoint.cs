using System.Collections.Concurrent;
using ShardCloud.Crdt;
using ShardCloud.ShardRuntime.Sockets.Connections;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime.Sockets.Owner;

/// <summary>The attached connections of one endpoint, and the pump that shows them what the document holds for them.</summary>
/// <remarks>
/// Level-triggered: what a leg gets follows from the newest document whose release was waited for and from how far the leg is, so a lost wake-up, a repeated one and
/// a new leg are all the same. (4) In-numbers are confirmed, (5) messages sent, (6) closes said, all by what that document holds.
/// </remarks>
internal sealed class ConnectedEndpoint : IDisposable
{
    /// <summary>Documents that wait for their release; past it the newest takes the place of the one before: what it holds is a superset of what counts.</summary>
    private const int PendingMax = 64;

    private readonly Lock _gate = new();
    private readonly Dictionary<string, StatefulLeg> _legs = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, long> _confirmed = new(StringComparer.Ordinal);
    private readonly LinkedList<Pending> _pending = [];
    private readonly CancellationTokenSource _over = new();
    private readonly WakeUp _wake = new();
    private Pending? _shown;
    private bool _isOver;

    public ConnectedEndpoint()
    {
        Confirmed = id => _confirmed.GetValueOrDefault(id);
        _ = PumpAsync(); // Ends with the last leg; it throws nothing.
    }

    /// <summary>Highest out-number that a connection has confirmed here.</summary>
    public Func<string, long> Confirmed { get; }

    /// <summary>A leg begins; what it is owed follows.</summary>
    public void Attach(StatefulLeg leg, IOwnedState owned)
    {
        lock (_gate) _legs[leg.Dial.Connection] = leg;
        HasConfirmed(leg, leg.Dial.LastOut);
        Changed(owned);
    }

    /// <summary>A leg has ended.</summary>
    /// <returns>True when it was the last one.</returns>
    public bool Detach(StatefulLeg leg)
    {
        lock (_gate)
        {
            if (_legs.GetValueOrDefault(leg.Dial.Connection) == leg) _legs.Remove(leg.Dial.Connection);
            return _legs.Count == 0;
        }
    }

    /// <summary>The document has changed.</summary>
    public void Changed(IOwnedState owned)
    {
        var pending = new Pending(owned.Epoch, owned.Current, owned.Seen()); // The release covers the document: it is asked for after it.
        lock (_gate)
        {
            if (_pending.Count >= PendingMax) _pending.RemoveLast();
            _pending.AddLast(pending);
            Wake();
        }
    }

    /// <summary>A client has everything up to the number.</summary>
    public void HasConfirmed(StatefulLeg leg, long number)
    {
        _confirmed.AddOrUpdate(leg.Dial.Connection, number, (_, before) => Math.Max(before, number));
        if (!leg.IsBlocked) return;
        lock (_gate) Wake();
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _isOver = true;
            _over.Cancel();
            _over.Dispose();
            _wake.Dispose();
        }
    }

    /// <summary>Under the lock: a change may come while the last leg goes.</summary>
    private void Wake()
    {
        if (!_isOver) _wake.Set();
    }

    private async Task PumpAsync()
    {
        var over = _over.Token;
        try
        {
            while (true)
            {
                await _wake.WaitAsync(over);
                while (Next() is { } next)
                {
                    if (!await next.Release(over))
                    {
                        foreach (var leg in Legs(next.Epoch)) leg.Lose(); // What they were shown counts; what comes next is another owner's to show.
                        continue;
                    }
                    _shown = next;
                    Show(next);
                }
                if (_shown is { } shown) Show(shown);
            }
        }
        catch (Exception error) when (error is OperationCanceledException or ObjectDisposedException)
        {
            // The last leg has gone.
        }
    }

    private Pending? Next()
    {
        lock (_gate)
        {
            if (_pending.First is not { } first) return null;
            _pending.RemoveFirst();
            return first.Value;
        }
    }

    private StatefulLeg[] Legs(Epoch epoch)
    {
        lock (_gate) return [.. _legs.Values.Where(leg => leg.Epoch == epoch)];
    }

    private void Show(Pending shown)
    {
        List<QueuedSend>? sends = null;
        foreach (var leg in Legs(shown.Epoch))
        {
            // Not in it: the document is older than the leg.
            if (ConnectionTable.Find(shown.Document.Fields, leg.Dial.Connection) is { } connection) leg.Show(connection, sends ??= [.. ConnectionTable.Sends(shown.Document.Fields)]);
        }
    }

    private sealed record Pending(Epoch Epoch, Document Document, Release Release);
}

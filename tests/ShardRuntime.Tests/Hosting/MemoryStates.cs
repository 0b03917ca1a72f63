using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using ShardCloud.Crdt;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime.Tests.Hosting;

/// <summary>The endpoints one member owns, over real documents; the log in front of answers is a switch of the test.</summary>
public sealed class MemoryStates : IEndpointStates, IReplicas
{
    private readonly ConcurrentDictionary<EndpointId, Owned> _owned = new();

    private readonly ConcurrentDictionary<EndpointId, Document> _replicas = new();
    private TaskCompletionSource _read = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Epoch? _rest;

    /// <summary>What the next commit meets instead of success.</summary>
    public StateCommit NextCommit { get; set; } = StateCommit.Committed;

    /// <summary>Runs at each commit, before it takes effect.</summary>
    public Action? OnCommit { get; set; }

    /// <summary>What is owned is of a convergent template.</summary>
    public bool AreConvergent { get; set; }

    /// <summary>Answers wait for this; false: what they saw counts for no one.</summary>
    public Func<Task<bool>> Log { get; set; } = () => Task.FromResult(true);

    public void Own(EndpointId endpoint, Epoch epoch, Document? document = null) => _owned[endpoint] = new Owned(this, epoch, document ?? Document.Empty);

    /// <summary>Built-in endpoints are owned too, from their first use.</summary>
    public void OwnRest(Epoch epoch) => _rest = epoch;

    public Document Lose(EndpointId endpoint)
    {
        if (!_owned.TryRemove(endpoint, out var owned)) return Document.Empty;
        owned.End();
        return owned.Current;
    }

    public Document Of(EndpointId endpoint) => _owned[endpoint].Current;

    /// <summary>What this member's replica has of an endpoint from now on.</summary>
    public void Replicate(EndpointId endpoint, Document document)
    {
        _replicas[endpoint] = document;
        Interlocked.Exchange(ref _read, new(TaskCreationOptions.RunContinuationsAsynchronously)).SetResult();
    }

    /// <summary>Somebody waits for more of a replica.</summary>
    public TaskCompletionSource Awaited { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public async Task<Document?> SeenAsync(EndpointId endpoint, CausalContext least, CancellationToken cancellationToken)
    {
        while (true)
        {
            var read = Volatile.Read(ref _read);
            if (!_replicas.TryGetValue(endpoint, out var document)) return null;
            if (document.Context.Covers(least)) return document;
            Awaited.TrySetResult();
            await read.Task.WaitAsync(cancellationToken);
        }
    }

    public bool TryOpen(EndpointId endpoint, [NotNullWhen(true)] out IOwnedState? state)
    {
        state = _rest is { } epoch && BuiltInEndpoints.Has(endpoint) ? _owned.GetOrAdd(endpoint, _ => new Owned(this, epoch, Document.Empty)) : _owned.GetValueOrDefault(endpoint);
        return state is not null;
    }

    public IReadOnlyList<EndpointId> Where(Func<EndpointId, OrMap, bool> picks, int most) => [.. _owned.Where(o => picks(o.Key, o.Value.Current.Fields)).Select(o => o.Key).Take(most)];

    private sealed class Owned(MemoryStates states, Epoch epoch, Document document) : IOwnedState
    {
        public Epoch Epoch => epoch;

        public bool IsConvergent => states.AreConvergent;

        private TaskCompletionSource<bool>? _next;
        private volatile bool _isEnded;

        public Document Current { get; private set; } = document;

        public Task<bool> NextChange()
        {
            lock (states._owned) return _isEnded ? Task.FromResult(false) : (_next ??= new(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
        }

        public void End() => Tell(isServed: false);

        private void Tell(bool isServed)
        {
            lock (states._owned)
            {
                _isEnded |= !isServed;
                _next?.TrySetResult(isServed);
                _next = null;
            }
        }

        public DocumentTransaction BeginTransaction() => new(Current, epoch, Current.NextSequence(epoch));

        public StateCommit TryCommit(DocumentTransaction transaction, out Release release)
        {
            release = Seen();
            states.OnCommit?.Invoke();
            if (states.NextCommit is not StateCommit.Committed)
            {
                var outcome = states.NextCommit;
                states.NextCommit = StateCommit.Committed;
                return outcome;
            }
            transaction.Commit(out var next, out _);
            Current = next;
            Tell(isServed: true);
            return StateCommit.Committed;
        }

        public Release Seen() => async cancellationToken => await states.Log().WaitAsync(cancellationToken);
    }
}

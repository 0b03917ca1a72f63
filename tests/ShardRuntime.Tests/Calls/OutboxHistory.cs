using System.Diagnostics.CodeAnalysis;
using System.Diagnostics.Metrics;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using ShardCloud.Crdt;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Affinity;
using ShardCloud.ShardRuntime.Calls;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Proxy;
using ShardCloud.ShardRuntime.Requests;
using ShardCloud.ShardRuntime.Sockets.Owner;
using ShardCloud.ShardRuntime.State;
using ShardCloud.ShardRuntime.Updates;

namespace ShardCloud.ShardRuntime.Tests.Calls;

/// <summary>One random history of two sending and two receiving endpoints on three members: owners die at any step, former ones go on for a while, messages are lost, repeated and late.</summary>
/// <remarks>
/// Production code sends (<see cref="OutboxSender"/>), changes (<see cref="EndpointChanges"/>) and receives (<see cref="EndpointExecutor"/>), over real documents. The log is what counts: a delta is
/// in it when somebody has waited for it, and maybe when its owner dies before. The random choices follow the seed; the threads that meet them do not.
/// </remarks>
internal sealed class OutboxHistory : IMapView, ILeaseView, IHandoffTable, IAsyncDisposable
{
    private const int Members = 3;
    private static readonly EndpointId[] Senders = [new("rooms/s1"), new("rooms/s2")], Targets = [new("rooms/t1"), new("rooms/t2")];

    private readonly Random _random;
    private readonly Lock _gate = new();
    private readonly FakeTimeProvider _time = new(DateTimeOffset.UtcNow);
    private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().AddLogging().BuildServiceProvider();
    private readonly Dictionary<EndpointId, Truth> _log = [];
    private readonly List<(OwnCall Call, int At)> _late = [];
    private readonly Member[] _members;
    private bool _isCalm;

    public OutboxHistory(int seed)
    {
        _random = new Random(seed);
        var join = new Join(new LiveMember(new IncarnationId("shard-1~a"), "http://a", "http://a", "1.0.0", "fd", Cordoned: false, Ready: true));
        Current = RoutingMap.Empty(16, "log").Apply(new MapChange(new MapVersion(1), DateTimeOffset.UnixEpoch, new MapCommit("test", "test", [join, new PublishTemplates("1.0.0", [new TemplateSpec("/rooms/{room}")])])));
        _members = [.. Enumerable.Range(0, Members).Select(index => new Member(this, index))];
        foreach (var endpoint in Senders.Concat(Targets)) _log[endpoint] = new Truth(Pick(Members));
    }

    /// <summary>How often each thing happened, to see that a history is not an idle one.</summary>
    public Dictionary<string, int> Happened { get; } = [];

    public RoutingMap Current { get; }

    public bool IsValid => true;

    public void Poke(MapVersion version) { }

    public HandoffView Look(EndpointId endpoint) => HandoffView.None;

    /// <summary>Runs it; what the documents say at the end is the verdict.</summary>
    public async Task RunAsync(int steps, CancellationToken cancellationToken)
    {
        foreach (var member in _members) await member.Sender.StartAsync(cancellationToken);
        List<Task> posting = []; // Not awaited: an owner may die before the log has what it committed.
        for (var step = 0; step < steps; step++)
        {
            switch (Pick(8))
            {
                case 0 or 1 or 2: posting.Add(PostAsync(cancellationToken)); break;
                case 3: NewOwner(Any(Senders)); break;
                case 4: NewOwner(Any(Targets)); break;
                case 5: await DeliverLateAsync(); break;
                default: _time.Advance(TimeSpan.FromMilliseconds(Pick(2_000))); break;
            }
            await Task.Yield();
        }
        await Task.WhenAll(posting);
        lock (_gate) _isCalm = true;
        foreach (var member in _members) member.Forget();
        await Hosting.Eventually.TrueAsync(() =>
        {
            _time.Advance(TimeSpan.FromSeconds(5));
            return Senders.All(sender => !OutboxMessage.HasAny(_members[OwnerOf(sender)].States.DocumentOf(sender).Fields));
        }, "every outbox is empty");
        while (_late.Count > 0) await DeliverLateAsync();
    }

    /// <summary>For each sender and target: what was posted and counts, and what was received and counts, in order.</summary>
    public IEnumerable<(string Pair, long[] Posted, long[] Received)> Verdict() =>
        from sender in Senders
        from target in Targets
        let posted = _members[OwnerOf(sender)].States.DocumentOf(sender).Fields.List($"to {target}").Items.Select(item => item.AsInt64()).ToArray()
        let received = _members[OwnerOf(target)].States.DocumentOf(target).Fields.List($"from {sender}").Items.Select(item => item.AsInt64()).ToArray()
        select ($"{sender} to {target}", posted, received);

    public async ValueTask DisposeAsync()
    {
        foreach (var member in _members) await member.DisposeAsync();
        await _services.DisposeAsync();
    }

    private int Pick(int below)
    {
        lock (_gate) return _random.Next(below);
    }

    private T Any<T>(IReadOnlyList<T> of) => of[Pick(of.Count)];

    private bool Chance(int percent)
    {
        lock (_gate) return !_isCalm && _random.Next(100) < percent;
    }

    private void Note(string what)
    {
        lock (_gate) Happened[what] = Happened.GetValueOrDefault(what) + 1;
    }

    private int OwnerOf(EndpointId endpoint)
    {
        lock (_gate) return _log[endpoint].Owner;
    }

    private async Task PostAsync(CancellationToken cancellationToken)
    {
        var (sender, target, count) = (Any(Senders), Any(Targets), Pick(3) + 1);
        var change = await _members[OwnerOf(sender)].Changes.RunAsync(sender, state =>
        {
            for (var i = 0; i < count; i++)
            {
                var number = state.Counter("posted");
                number.Increment();
                state.List($"to {target}").Append(number.Value);
                state.Outbox.Post($"/{target}/receive?from={sender}&number={number.Value}");
            }
            return new(true);
        }, cancellationToken);
        if (await change.IsKeptAsync(cancellationToken)) Note("posted");
    }

    /// <summary>The owner dies, or loses the endpoint without knowing yet: what it had not heard back from the log is in it, or is not.</summary>
    private void NewOwner(EndpointId endpoint)
    {
        var knows = Chance(50);
        lock (_gate)
        {
            var (truth, former) = (_log[endpoint], _members[_log[endpoint].Owner]);
            if (_random.Next(2) == 0) truth.Accept(truth.Epoch, former.States.DocumentOf(endpoint));
            (truth.Owner, truth.Epoch) = ((truth.Owner + 1 + _random.Next(Members - 1)) % Members, truth.Epoch + 1);
            if (knows) former.States.Drop(endpoint);
        }
        Note(knows ? "died" : "lost without notice");
        _members[OwnerOf(endpoint)].States.Take(endpoint);
    }

    private async Task<OwnAnswer> CarryAsync(OwnCall call)
    {
        if (Chance(20)) return Lost("lost on the way");
        var owner = OwnerOf(call.Endpoint);
        if (Chance(20))
        {
            Note("comes again, late");
            lock (_gate) _late.Add((call, owner)); // At whoever owned it then, or owns it when it comes.
        }
        var status = await _members[owner].ReceiveAsync(call);
        return Chance(20) ? Lost("answer lost") : new OwnAnswer(status, new HeaderDictionary(), default);

        OwnAnswer Lost(string how)
        {
            Note(how);
            return new OwnAnswer(StatusCodes.Status503ServiceUnavailable, new HeaderDictionary(), default);
        }
    }

    private async Task DeliverLateAsync()
    {
        (OwnCall Call, int At) late;
        lock (_gate)
        {
            if (_late.Count == 0) return;
            late = _late[^1];
            _late.RemoveAt(_late.Count - 1);
        }
        await _members[Pick(2) == 0 ? late.At : OwnerOf(late.Call.Endpoint)].ReceiveAsync(late.Call);
    }

    /// <summary>What the log holds of one endpoint.</summary>
    private sealed class Truth(int owner)
    {
        public int Owner = owner;
        public int Epoch = 1;
        public Document Accepted { get; private set; } = Document.Empty;
        private int _length;

        /// <summary>An owner's document reached the log; false: not under this epoch any more. An owner's documents grow one upon the other.</summary>
        public bool Accept(int epoch, Versioned document)
        {
            if (epoch != Epoch) return false;
            if (document.Length > _length) (Accepted, _length) = (document.Document, document.Length);
            return true;
        }

        public Versioned Now => new(Accepted, _length);
    }

    /// <summary>A document and how many commits it has seen.</summary>
    private readonly record struct Versioned(Document Document, int Length)
    {
        public OrMap Fields => Document.Fields;
    }

    private sealed class Member : IAsyncDisposable
    {
        private readonly OutboxHistory _history;
        private readonly EndpointExecutor _executor;

        public Member(OutboxHistory history, int index)
        {
            _history = history;
            States = new HistoryStates(history, index);
            var (lanes, wakeUps, settings) = (new EndpointLanes(1_000), new OutboxWakeUps(), new OutboxSettings { MessagesMax = 10_000 });
            var metrics = new ShardMetrics(history._services.GetRequiredService<IMeterFactory>());
            var rules = new OutboxRules(settings, history, history._time);
            var connected = new ConnectedEndpoints(new OwnedSocketMetrics(history._services.GetRequiredService<IMeterFactory>()));
            var work = new EndpointWork(States, history, history, connected, rules, wakeUps);
            Changes = new EndpointChanges(lanes, work);
            var records = new CompletionRecords(new RequestSettings(), new Confirmations(), history._time);
            _executor = new EndpointExecutor(lanes, work, history, records, rules, metrics, new OwnerTraffic(history._time), new ShadowSampler(history._time),
                new AffinityObserver(new ShardContext(new ShardRuntimeOptions { Shard = $"shard-{index}" }), history, metrics, history._time), new RequestSettings());
            var parking = new Parking(new ParkingSettings(), TimeSpan.FromHours(1), new HandoffMeters(), metrics, history._time);
            Sender = new OutboxSender(States, Changes, (call, _) => history.CarryAsync(call), wakeUps, parking, settings, metrics, history._time, NullLogger<OutboxSender>.Instance);
        }

        public HistoryStates States { get; }

        public EndpointChanges Changes { get; }

        public OutboxSender Sender { get; }

        /// <summary>The receiving end of a leg; 503 where a leg would be refused or closed.</summary>
        public async Task<int> ReceiveAsync(OwnCall call)
        {
            var request = new EndpointRequest(call.Endpoint, call.Id, RequestBody.None);
            if (!States.TryOpen(call.Endpoint, out var owned)) return StatusCodes.Status503ServiceUnavailable;
            var context = new DefaultHttpContext { RequestServices = _history._services };
            (context.Request.Method, context.Request.QueryString) = (call.Method, new QueryString(call.RawTarget[call.RawTarget.IndexOf('?')..]));
            return await _executor.RunAsync(context, request, owned, Handle) is RunOutcome.Answered ? context.Response.StatusCode : StatusCodes.Status503ServiceUnavailable;
        }

        /// <summary>It knows at last what it does not own any more.</summary>
        public void Forget() => States.DropLost();

        private Task Handle(HttpContext context)
        {
            context.EndpointState().List($"from {context.Request.Query["from"]}").Append(long.Parse(context.Request.Query["number"].ToString(), System.Globalization.CultureInfo.InvariantCulture));
            if (_history.Chance(10)) context.Response.StatusCode = StatusCodes.Status500InternalServerError;
            return Task.CompletedTask;
        }

        public async ValueTask DisposeAsync()
        {
            await Sender.StopAsync(CancellationToken.None);
            Sender.Dispose();
        }
    }

    /// <summary>What one member believes to own.</summary>
    private sealed class HistoryStates(OutboxHistory history, int index) : IEndpointStates
    {
        private readonly Dictionary<EndpointId, Owned> _owned = [];

        public bool TryOpen(EndpointId endpoint, [NotNullWhen(true)] out IOwnedState? state)
        {
            lock (history._gate)
            {
                if (!_owned.ContainsKey(endpoint) && history._log[endpoint].Owner == index) Take(endpoint);
                state = _owned.GetValueOrDefault(endpoint);
                return state is not null;
            }
        }

        public IReadOnlyList<EndpointId> Where(Func<EndpointId, OrMap, bool> picks, int most)
        {
            lock (history._gate) return [.. history._log.Where(pair => picks(pair.Key, pair.Value.Accepted.Fields)).Select(pair => pair.Key).Take(most)];
        }

        public void Take(EndpointId endpoint)
        {
            lock (history._gate) _owned[endpoint] = new Owned(history, endpoint, history._log[endpoint]);
        }

        public void Drop(EndpointId endpoint)
        {
            lock (history._gate) _owned.Remove(endpoint);
        }

        public void DropLost()
        {
            lock (history._gate)
            {
                foreach (var (endpoint, owned) in _owned.ToArray())
                {
                    if (history._log[endpoint].Owner != index || owned.Epoch.Value != history._log[endpoint].Epoch) _owned.Remove(endpoint);
                }
            }
        }

        public Versioned DocumentOf(EndpointId endpoint)
        {
            lock (history._gate) return _owned.TryGetValue(endpoint, out var owned) ? owned.Version : history._log[endpoint].Now;
        }
    }

    private sealed class Owned(OutboxHistory history, EndpointId endpoint, Truth truth) : IOwnedState
    {
        private readonly int _epoch = truth.Epoch;
        private Versioned _current = truth.Now;

        public Epoch Epoch => new(_epoch);

        public Versioned Version => _current;

        public Document Current
        {
            get
            {
                lock (history._gate) return _current.Document;
            }
        }

        public Task<bool> NextChange() => throw new NotSupportedException("Nobody follows here.");

        public DocumentTransaction BeginTransaction()
        {
            var current = Current;
            return new(current, Epoch, current.NextSequence(Epoch));
        }

        public StateCommit TryCommit(DocumentTransaction transaction, out Release release)
        {
            transaction.Commit(out var next, out _);
            lock (history._gate) _current = new Versioned(next, _current.Length + 1);
            release = Seen();
            return StateCommit.Committed; // One who has lost it learns that from the log.
        }

        public Release Seen()
        {
            Versioned seen;
            lock (history._gate) seen = _current;
            return async _ =>
            {
                for (var waits = history.Pick(4); waits > 0; waits--) await Task.Yield();
                lock (history._gate)
                {
                    if (history._log[endpoint].Accept(_epoch, seen)) return true;
                }
                history.Note("counts for no one");
                return false;
            };
        }
    }
}

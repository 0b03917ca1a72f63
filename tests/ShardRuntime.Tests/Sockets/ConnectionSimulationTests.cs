using System.Globalization;
using System.Text;
using ShardCloud.Crdt;
using ShardCloud.ShardRuntime.Sockets.Connections;
using ShardCloud.ShardRuntime.Sockets.Legs;
using ShardCloud.ShardRuntime.Sockets.Owner;

namespace ShardCloud.ShardRuntime.Tests.Sockets;

/// <summary>Goal: over crashes, moves, lost legs and repeated dials each message in takes effect once and in order, and each message out arrives once and in order.</summary>
/// <remarks>
/// Method: the owner's production cores (<see cref="ConnectionWork"/>, <see cref="LegView"/>, <see cref="OutWindow"/>) on real documents, and a carrier of the protocol page, in
/// random histories. Each handler also writes into the document what it ran for and what each connection is due, in the same change: whatever of it survives is what clients must have.
/// </remarks>
public sealed class ConnectionSimulationTests
{
    private const int Steps = 500;

    [Theory]
    [MemberData(nameof(Seeds))]
    public void RandomHistory_EveryMessageOnceAndInOrder_BothWays(int firstSeed)
    {
        var (moves, crashes, run) = (0, 0, 0L);
        for (var seed = firstSeed; seed < firstSeed + 50; seed++)
        {
            var world = new World(seed);
            for (var step = 0; step < Steps; step++) world.Step();
            world.Settle();
            world.Check();
            (moves, crashes, run) = (moves + world.Moves, crashes + world.Crashes, run + world.Ran);
        }
        Assert.True(moves > 50 && crashes > 50 && run > 500, $"Too little happened: {moves} moves, {crashes} crashes, {run} messages.");
    }

    public static TheoryData<int> Seeds => [1, 1_001, 2_001, 3_001];

    /// <summary>One client with its carrier: numbers, what is not confirmed, what arrived.</summary>
    private sealed class Client
    {
        public required string Id { get; init; }
        public readonly List<long> Unconfirmed = [];
        public readonly List<string> Received = [];
        public long Written, LastOut;
        public int Attempt;
        public bool WasAttached, IsOver, HasClosed;
        public Leg? Leg;
    }

    /// <summary>One leg: frames on their way in both directions, and the owner's view of it.</summary>
    private sealed class Leg(Client client, int version)
    {
        public readonly Queue<(LegFrameKind Kind, long Number)> ToOwner = new();
        public readonly Queue<(LegFrameKind Kind, long Number, string Text)> ToCarrier = new();
        public readonly OutWindow Window = new(4, 1_000);
        public Client Client => client;
        public int OpenedBy => version;
        public LegView? View;
        public long LastIn;
    }

    private sealed class World(int seed)
    {
        private readonly Random _random = new(seed);
        private readonly List<Client> _clients = [];
        private readonly Dictionary<string, long> _confirmed = [];
        private readonly Epoch _first = new(1);
        private List<Document> _versions = [Document.Empty];
        private int _accepted, _epoch = 1, _messages;

        public int Moves, Crashes;

        public long Ran => _versions[^1].Fields.List("ran").Count;

        public void Step()
        {
            var client = _clients.Count == 0 || (_clients.Count < 4 && _random.Next(20) == 0) ? Connect() : _clients[_random.Next(_clients.Count)];
            switch (_random.Next(24))
            {
                case < 6: Write(client); break;
                case < 9: if (client.Leg is { } leg) TakeAtOwner(leg); break;
                case < 13: if (client.Leg is { } other) TakeAtCarrier(other); break;
                case < 17: Accept(_random.Next(1, 4)); break;
                case < 20: if (client.Leg is null || _random.Next(6) == 0) Dial(client); break;
                case 20: client.Leg = null; break;
                case 21: if (_random.Next(3) == 0) Crash(); break;
                case 22: if (_random.Next(3) == 0) Move(); break;
                default: if (_random.Next(12) == 0) CloseFromClient(client); break;
            }
        }

        /// <summary>No more faults: everything gets through.</summary>
        public void Settle()
        {
            for (var round = 0; round < 400; round++)
            {
                foreach (var client in _clients.Where(c => !c.IsOver))
                {
                    if (client.Leg is null) Dial(client);
                    if (client.Leg is not { } leg) continue;
                    while (leg.ToOwner.Count > 0) TakeAtOwner(leg);
                    while (client.Leg == leg && leg.ToCarrier.Count > 0) TakeAtCarrier(leg);
                }
                Accept(_versions.Count);
            }
        }

        public void Check()
        {
            var fields = _versions[^1].Fields;
            foreach (var client in _clients)
            {
                var due = fields.List("due " + client.Id).Items.Select(item => item.AsString()).ToList();
                var ran = fields.List("ran").Items.Select(item => item.AsString()).Where(item => item.StartsWith(client.Id, StringComparison.Ordinal)).ToList();
                var all = Enumerable.Range(1, (int)client.Written).Select(number => $"{client.Id} {number}").ToList();
                if (client.IsOver)
                {
                    Assert.True(all.Take(ran.Count).SequenceEqual(ran), $"seed {seed}: {client.Id} ran {string.Join(',', ran)}");
                    Assert.True(due.Take(client.Received.Count).SequenceEqual(client.Received), $"seed {seed}: closed {client.Id} received what it was not due");
                    continue;
                }
                Assert.True(all.SequenceEqual(ran), $"seed {seed}: {client.Id} wrote {client.Written}, ran {string.Join(',', ran)}");
                Assert.True(due.SequenceEqual(client.Received), $"seed {seed}: {client.Id} is due\n{string.Join(',', due)}\nreceived\n{string.Join(',', client.Received)}");
                Assert.Empty(client.Unconfirmed);
            }
            var open = _clients.Count(c => !c.IsOver);
            Assert.Equal(open, ConnectionTable.Connections(fields).Count);
        }

        private Client Connect()
        {
            var client = new Client { Id = $"c{_clients.Count}" };
            _clients.Add(client);
            return client;
        }

        private void Write(Client client)
        {
            if (client.IsOver || client.HasClosed || client.Unconfirmed.Count >= 8) return;
            client.Unconfirmed.Add(++client.Written);
            if (client.Leg?.View is not null) client.Leg.ToOwner.Enqueue((LegFrameKind.Text, client.Written));
        }

        private void CloseFromClient(Client client)
        {
            if (client.IsOver) return;
            client.HasClosed = true;
            if (client.Leg?.View is not null) client.Leg.ToOwner.Enqueue((LegFrameKind.Close, 1000));
        }

        /// <summary>A dial: its opening is a change, and the leg is attached when that is kept.</summary>
        private void Dial(Client client)
        {
            if (client.IsOver) return;
            client.Attempt++;
            var verdict = default(OpenVerdict);
            Commit(work =>
            {
                verdict = work.TryOpen(client.Id, TestLeg.VerifierOf("secret"), client.WasAttached, hasToken: false, "/ws");
                if (verdict is OpenVerdict.Opened && _random.Next(2) == 0) Send(work, "hello " + client.Id);
            });
            if (verdict is OpenVerdict.Over)
            {
                (client.IsOver, client.Leg) = (true, null); // 410.
                return;
            }
            client.Leg = new Leg(client, _versions.Count - 1) { LastIn = ConnectionTable.Find(_versions[^1].Fields, client.Id)!.In };
            Pump();
        }

        private void TakeAtOwner(Leg leg)
        {
            if (leg.View is null || !leg.ToOwner.TryDequeue(out var frame)) return;
            var client = leg.Client;
            switch (frame.Kind)
            {
                case LegFrameKind.Confirm:
                    leg.Window.Confirm(frame.Number);
                    _confirmed[client.Id] = Math.Max(_confirmed.GetValueOrDefault(client.Id), frame.Number);
                    if (leg.View.IsBlocked) Pump();
                    break;
                case LegFrameKind.Close:
                    Commit(work => work.Remove(client.Id));
                    break;
                default:
                    Commit(work =>
                    {
                        if (work.Take(client.Id, frame.Number) is InVerdict.Run) Handle(work, client, frame.Number);
                    });
                    break;
            }
        }

        /// <summary>The application: keeps what it ran for, and sends to some.</summary>
        private void Handle(ConnectionWork work, Client client, long number)
        {
            _transaction!.List("ran").Append($"{client.Id} {number}");
            for (var sends = _random.Next(3); sends > 0; sends--) Send(work, string.Create(CultureInfo.InvariantCulture, $"m{++_messages}"));
            if (_random.Next(60) == 0) work.Close(client.Id, 4000, "enough");
        }

        private void Send(ConnectionWork work, string text)
        {
            // All, or some. What each is due goes into the same change.
            var chosen = _random.Next(2) == 0 ? null : work.Open.Where(_ => _random.Next(2) == 0).Select(row => row.Id).ToHashSet();
            foreach (var row in work.Open.Where(row => chosen?.Contains(row.Id) ?? true)) _transaction!.List("due " + row.Id).Append(text);
            work.Send(text, row => chosen?.Contains(row.Id) ?? true);
        }

        private void TakeAtCarrier(Leg leg)
        {
            if (!leg.ToCarrier.TryDequeue(out var frame)) return;
            var client = leg.Client;
            switch (frame.Kind)
            {
                case LegFrameKind.Confirm:
                    client.Unconfirmed.RemoveAll(number => number <= frame.Number);
                    break;
                case LegFrameKind.Close:
                    client.HasClosed = true;
                    leg.ToOwner.Enqueue((LegFrameKind.Close, frame.Number));
                    break;
                default:
                    Assert.True(frame.Number > client.LastOut, $"seed {seed}: {client.Id} got {frame.Number} after {client.LastOut}");
                    client.LastOut = frame.Number;
                    client.Received.Add(frame.Text);
                    leg.ToOwner.Enqueue((LegFrameKind.Confirm, frame.Number));
                    break;
            }
        }

        private void Accept(int changes)
        {
            var until = Math.Min(_versions.Count - 1, _accepted + changes);
            while (_accepted < until)
            {
                _accepted++;
                Pump();
            }
        }

        /// <summary>Shows every leg what the accepted document holds for it; attaches those whose opening is kept.</summary>
        private void Pump()
        {
            var fields = _versions[_accepted].Fields;
            var sends = ConnectionTable.Sends(fields).ToList();
            foreach (var leg in _clients.Select(c => c.Leg).OfType<Leg>().ToList())
            {
                if (_accepted >= leg.OpenedBy) Attach(leg);
                if (leg.View is null) continue;
                if (ConnectionTable.Find(fields, leg.Client.Id) is { } row) leg.View.Show(row, sends, leg.Window, (kind, number, payload) => leg.ToCarrier.Enqueue((kind, number, Encoding.UTF8.GetString(payload.Span))));
                else if (leg.Client.HasClosed) (leg.Client.IsOver, leg.Client.Leg) = (true, null); // Its close is kept.
            }
        }

        private void Attach(Leg leg)
        {
            if (leg.View is not null) return;
            var client = leg.Client;
            leg.View = new LegView(client.LastOut, leg.LastIn);
            _confirmed[client.Id] = Math.Max(_confirmed.GetValueOrDefault(client.Id), client.LastOut);
            client.WasAttached = true;
            client.Unconfirmed.RemoveAll(number => number <= leg.LastIn);
            foreach (var number in client.Unconfirmed) leg.ToOwner.Enqueue((LegFrameKind.Text, number));
            if (client.HasClosed) leg.ToOwner.Enqueue((LegFrameKind.Close, 1000));
        }

        /// <summary>The owner dies: what the log did not get is gone.</summary>
        private void Crash()
        {
            Crashes++;
            NewOwner(_versions[_accepted]);
        }

        /// <summary>A handoff: what was shown has left before Moved, and everything committed moves.</summary>
        private void Move()
        {
            Moves++;
            foreach (var leg in _clients.Select(c => c.Leg).OfType<Leg>().ToList())
            {
                while (leg.ToCarrier.Count > 0) TakeAtCarrier(leg);
            }
            NewOwner(_versions[^1]);
        }

        private void NewOwner(Document document)
        {
            (_versions, _accepted) = ([document], 0);
            _epoch++;
            _confirmed.Clear();
            foreach (var client in _clients) client.Leg = null;
        }

        private DocumentTransaction? _transaction;

        private void Commit(Action<ConnectionWork> change)
        {
            var current = _versions[^1];
            var epoch = new Epoch(new MapVersion(_first.Value + _epoch));
            _transaction = new DocumentTransaction(current, epoch, current.NextSequence(epoch));
            change(new ConnectionWork(_transaction, id => _confirmed.GetValueOrDefault(id)));
            if (!_transaction.HasChanges) return;
            _transaction.Commit(out var next, out _);
            _versions.Add(next);
        }
    }
}

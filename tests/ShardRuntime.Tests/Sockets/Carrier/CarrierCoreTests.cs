using System.Buffers;
using System.Text;
using CsCheck;
using ShardCloud.ShardRuntime.Proxy;
using ShardCloud.ShardRuntime.Sockets.Carrier;
using ShardCloud.ShardRuntime.Sockets.Legs;

namespace ShardCloud.ShardRuntime.Tests.Sockets.Carrier;

public sealed class CarrierCoreTests
{
    private const int InFlightMax = 5, InFlightBytesMax = 40;

    /// <summary>
    /// Goal: whatever is lost and whenever the owner changes, each message counts once and in order, and nothing is told wrong. Method: one core, an owner with durable numbers, two queues for
    /// each leg; a random history of sends, deliveries, confirmations, losses, moves and closes; then everything left is delivered.
    /// </summary>
    [Fact]
    public void Histories_OfLossesAndMoves_DeliverOnceAndInOrder() =>
        Gen.Select(Gen.Byte.Array[0, 300], Gen.Bool).Sample((history, isResuming) =>
        {
            var world = new World(isResuming);
            foreach (var step in history) world.Step(step);
            world.Settle();
        }, iter: 3_000);

    [Fact]
    public void Window_OneMessageMayAlwaysGo_AndTheBytesComeBack()
    {
        var core = new CarrierCore(InFlightMax, InFlightBytesMax);
        Assert.True(core.HasRoomFor(1_000));
        core.Take(LegFrameKind.Text, new byte[1_000]);
        Assert.False(core.HasRoomFor(0));
        core.Attached(new LegAttached(0, false));
        Assert.NotNull(core.NextToSend());
        Assert.Equal(CarrierStep.Confirmed, core.Received(LegFrameKind.Confirm, 1));
        Assert.True(core.HasRoomFor(InFlightBytesMax));
    }

    /// <summary>A client may read a message and confirm it before the carrier knows that its own write has ended: that is no violation. One socket in a thousand resumptions was closed with 1002 for it.</summary>
    [Fact]
    public void Confirmation_ThatIsFasterThanTheWrite_IsTaken()
    {
        var core = new CarrierCore(InFlightMax, InFlightBytesMax) { IsResuming = true };
        core.Attached(new LegAttached(0, false));
        Assert.Equal(CarrierStep.Show, core.Received(LegFrameKind.Text, 1));
        Assert.False(core.Has(1));

        core.Showing(1);
        Assert.True(core.Has(1));
        Assert.False(core.Has(2));
        core.Shown(1);
        Assert.Equal((1, 1), (core.LastShown, core.LastOut));
    }

    [Fact]
    public void Frames_ThatAnOwnerMayNotSend_BreakTheLeg()
    {
        foreach (var (kind, number) in new[] { (LegFrameKind.Gone, 0), (LegFrameKind.Confirm, 2) }) // 2: more than was sent.
        {
            var core = new CarrierCore(InFlightMax, InFlightBytesMax);
            core.Attached(new LegAttached(0, false));
            core.Take(LegFrameKind.Text, "x"u8);
            core.NextToSend();
            Assert.Equal(CarrierStep.Broken, core.Received(kind, number));
        }
    }

    [Fact]
    public void FramesAfterMovedOrClose_BreakTheLeg()
    {
        var core = new CarrierCore(InFlightMax, InFlightBytesMax);
        core.Attached(new LegAttached(0, false));
        Assert.Equal(CarrierStep.Moved, core.Received(LegFrameKind.Moved, 7));
        Assert.Equal(CarrierStep.Broken, core.Received(LegFrameKind.Text, 1));
        core.LegEnded(isClean: true);
        Assert.False(core.IsOver);
        core.Attached(new LegAttached(0, false));
        Assert.Equal(CarrierStep.Close, core.Received(LegFrameKind.Close, 1000));
        Assert.Equal(CarrierStep.Broken, core.Received(LegFrameKind.Text, 1));
        core.LegEnded(isClean: true);
        Assert.True(core.IsOver);
    }

    [Fact]
    public void Choice_ToOnlyAfterMoved_AndNotWhereItRefusedOrCannotBeReached()
    {
        var (owner, to) = (IncarnationId.New(new ShardId("shard-1")), IncarnationId.New(new ShardId("shard-2")));
        var entry = new EntryView(new MapVersion(3), owner, new Epoch(2), to, new HandoffId(3), null);
        Assert.Equal(owner, LegChoice.Of(entry, isMoved: false, default, _ => true));
        Assert.Equal(to, LegChoice.Of(entry, isMoved: true, default, _ => true));
        Assert.Equal(owner, LegChoice.Of(entry, isMoved: true, to, _ => true));
        Assert.Equal(owner, LegChoice.Of(entry, isMoved: true, default, member => member != to));
        Assert.True(LegChoice.Of(entry, isMoved: true, default, _ => false).IsNone);
        Assert.True(LegChoice.Of(default, isMoved: true, default, _ => true).IsNone);

        Assert.False(LegChoice.IsElsewhere(entry, to, new MapVersion(3)));
        Assert.True(LegChoice.IsElsewhere(entry with { To = default, Handoff = HandoffId.None }, to, new MapVersion(3)));
        Assert.False(LegChoice.IsElsewhere(entry with { To = default, Handoff = HandoffId.None }, to, new MapVersion(4))); // Decided on a newer map.
    }

    /// <summary>The core, its client and its owners.</summary>
    private sealed class World
    {
        private readonly CarrierCore _core;
        private readonly Queue<(LegFrameKind Kind, long Number, string Text)> _toOwner = new(), _toCarrier = new();
        private readonly List<string> _sent = [], _taken = [], _outs = [], _shown = [];
        private readonly List<(long Number, string Text)> _unconfirmed = [];
        private readonly bool _isResuming;
        private long _lastIn, _lastOut, _clientNumber;
        private bool _isAttached, _isMoving, _hasClosed, _ownerKnowsEnd;

        public World(bool isResuming)
        {
            _isResuming = isResuming;
            _core = new CarrierCore(InFlightMax, InFlightBytesMax) { IsResuming = isResuming };
        }

        public void Step(byte step)
        {
            switch (step % 16)
            {
                case 0 or 1 or 2: ClientSends(step); break;
                case 3 or 4: Flush(); break;
                case 5 or 6: OwnerReads(confirms: step > 100); break;
                case 7 or 8: OwnerSends(); break;
                case 9 or 10: CarrierReads(); break;
                case 11: Attach(); break;
                case 12 when step > 150: Lose(); break;
                case 13 when step > 150: Move(); break;
                case 14: ClientConfirms(); break;
                case 15 when step > 230: ClientCloses(); break;
            }
        }

        public void Settle()
        {
            for (var round = 0; round < 10_000; round++)
            {
                Attach();
                Flush();
                while (_toOwner.Count > 0) OwnerReads(confirms: true);
                while (_toCarrier.Count > 0) CarrierReads();
                ClientConfirms();
                Flush();
                if (_core.KeptCount == 0 && _toOwner.Count == 0 && _toCarrier.Count == 0 && _shown.Count == _outs.Count && (!_hasClosed || _ownerKnowsEnd)) break;
            }
            Assert.Equal(_sent, _taken);
            Assert.Equal(_outs, _shown);
            Assert.Equal(_hasClosed, _ownerKnowsEnd);
        }

        private void ClientSends(byte step)
        {
            var text = $"{_sent.Count + 1}".PadRight(1 + (step % 13), '.');
            if (_hasClosed || !_core.HasRoomFor(text.Length)) return;
            _sent.Add(text);
            if (_isResuming)
            {
                Assert.True(_core.Take(++_clientNumber, LegFrameKind.Text, Encoding.UTF8.GetBytes(text)));
                Assert.False(_core.Take(_clientNumber, LegFrameKind.Text, "again"u8));
            }
            else
            {
                _core.Take(LegFrameKind.Text, Encoding.UTF8.GetBytes(text));
            }
            Assert.True(_core.KeptCount <= InFlightMax);
        }

        private void ClientCloses()
        {
            if (_hasClosed) return;
            _hasClosed = true;
            _core.ClientEnded(ClientEnd.Closed, 1000, "bye");
        }

        private void Flush()
        {
            while (_core.NextToSend() is { } frame)
            {
                Assert.True(_isAttached);
                _toOwner.Enqueue(Read(frame.Bytes));
            }
        }

        private void Attach()
        {
            if (_isAttached) return;
            var dial = _core.Dial("c", "v");
            Assert.True(dial.LastOut <= _lastOut);
            Assert.Equal(_core.WasAttached, dial.Flags.HasFlag(DialFlags.Attached));
            _unconfirmed.RemoveAll(o => o.Number <= dial.LastOut);
            (_isAttached, _isMoving, _ownerKnowsEnd) = (true, false, false);
            foreach (var (number, text) in _unconfirmed) _toCarrier.Enqueue((LegFrameKind.Text, number, text));
            _core.Attached(new LegAttached(_lastIn, false));
        }

        private void OwnerReads(bool confirms)
        {
            if (!_toOwner.TryDequeue(out var frame) || _isMoving) return;
            Assert.False(_ownerKnowsEnd && frame.Kind is not LegFrameKind.Confirm); // No message follows the end.
            switch (frame.Kind)
            {
                case LegFrameKind.Confirm:
                    _unconfirmed.RemoveAll(o => o.Number <= frame.Number);
                    break;
                case LegFrameKind.Close:
                    Assert.Equal((1000, "bye"), (frame.Number, frame.Text));
                    _ownerKnowsEnd = true;
                    break;
                default:
                    Assert.True(frame.Number <= _lastIn + 1, "no message is left out");
                    if (frame.Number <= _lastIn) break;
                    _lastIn = frame.Number;
                    _taken.Add(frame.Text);
                    break;
            }
            if (confirms) _toCarrier.Enqueue((LegFrameKind.Confirm, _lastIn, ""));
        }

        private void OwnerSends()
        {
            _lastOut += 1 + (_lastOut % 3); // Growing, not contiguous.
            _outs.Add($"out {_lastOut}");
            _unconfirmed.Add((_lastOut, _outs[^1]));
            if (_isAttached && !_isMoving) _toCarrier.Enqueue((LegFrameKind.Text, _lastOut, _outs[^1]));
        }

        private void CarrierReads()
        {
            if (!_toCarrier.TryDequeue(out var frame)) return;
            switch (_core.Received(frame.Kind, frame.Number))
            {
                case CarrierStep.Show:
                    _shown.Add(frame.Text);
                    _core.Shown(frame.Number);
                    if (!_isResuming) _toOwner.Enqueue((LegFrameKind.Confirm, frame.Number, ""));
                    break;
                case CarrierStep.Moved:
                    EndLeg(isClean: true);
                    break;
                case CarrierStep.Broken:
                    Assert.Fail("the owner kept the rules");
                    break;
            }
        }

        private void ClientConfirms()
        {
            if (!_isResuming || _core.LastShown == 0) return;
            Assert.False(_core.Has(_core.LastShown + 1));
            Assert.True(_core.Has(_core.LastShown));
            if (_isAttached) _toOwner.Enqueue((LegFrameKind.Confirm, _core.LastShown, ""));
        }

        private void Lose()
        {
            if (_isAttached) EndLeg(isClean: false);
        }

        private void Move()
        {
            if (!_isAttached || _isMoving || _ownerKnowsEnd) return;
            _isMoving = true;
            _toCarrier.Enqueue((LegFrameKind.Moved, 7, ""));
        }

        private void EndLeg(bool isClean)
        {
            _isAttached = false;
            _toOwner.Clear();
            _toCarrier.Clear();
            _core.LegEnded(isClean);
            Assert.False(_core.IsOver);
            Assert.Null(_core.NextToSend());
        }

        private static (LegFrameKind Kind, long Number, string Text) Read(byte[] bytes)
        {
            var buffer = new ReadOnlySequence<byte>(bytes);
            Assert.True(LegFrame.TryRead(ref buffer, 1_000, out var frame));
            return (frame.Kind, frame.Number, Encoding.UTF8.GetString(frame.Payload));
        }
    }
}

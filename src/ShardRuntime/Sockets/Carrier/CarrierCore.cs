using System.Text;
using ShardCloud.ShardRuntime.Sockets.Legs;

namespace ShardCloud.ShardRuntime.Sockets.Carrier;

/// <summary>What a frame from the owner asks of the carrier.</summary>
internal enum CarrierStep
{
    /// <summary>Nothing: a message the client has, or one for a client that left.</summary>
    Drop,

    /// <summary>(5) Write it to the client, then say so: <see cref="CarrierCore.Shown"/>.</summary>
    Show,

    /// <summary>(4) Messages were confirmed: there may be room for the client's next one.</summary>
    Confirmed,

    /// <summary>(6) The application closed: pass the close on to the client.</summary>
    Close,

    /// <summary>(8) The owner has finished: dial the next one.</summary>
    Moved,

    /// <summary>No frame that an owner may send now: the leg counts as lost.</summary>
    Broken,
}

/// <summary>How the client's side ended.</summary>
internal enum ClientEnd
{
    /// <summary>It has not.</summary>
    None,

    /// <summary>With a close, which goes to the owner.</summary>
    Closed,

    /// <summary>Without one, for good.</summary>
    Vanished,

    /// <summary>It may come back with its token, to any router: the owner is told nothing.</summary>
    Away,
}

/// <summary>One frame for the owner.</summary>
internal readonly record struct InFrame(long Number, byte[] Bytes);

/// <summary>The decisions of a carrier for one connection: numbers, what is kept and sent again, what a frame means, when the connection is over.</summary>
/// <remarks>
/// Step numbers are those of docs/protocol/sockets.md. No I/O, no clock, not thread-safe. Invariants: what is kept is exactly what was taken from the client and not
/// confirmed, in order; on each leg it is sent in order, each message once, and the client's end last; the client is shown growing numbers only;
/// the owner never hears that the client has more than it has.
/// </remarks>
internal sealed class CarrierCore(int inFlightMax, int inFlightBytesMax)
{
    private List<InFrame>? _kept; // Of most connections nothing is, most of the time.
    private int _keptBytes, _sent;
    private long _lastIn, _sentUpTo, _confirmed, _showing;
    private byte[]? _end;
    private bool _isAttached, _isClosedByOwner;

    /// <summary>The client has a resume token: it numbers its own messages and says itself what it has. Before the first leg: it wants one.</summary>
    public bool IsResuming { get; set; }

    /// <summary>Dials so far.</summary>
    public int Attempt { get; private set; }

    /// <summary>Highest out-number written to the client's socket.</summary>
    public long LastShown { get; private set; }

    /// <summary>Highest out-number that the client has; below <see cref="LastShown"/> only for a resuming client.</summary>
    public long LastOut { get; private set; }

    /// <summary>Highest in-number whose effects are kept.</summary>
    public long Confirmed => _confirmed;

    /// <summary>Messages that wait for their confirmation.</summary>
    public int KeptCount => _kept?.Count ?? 0;

    /// <summary>How the client's side ended.</summary>
    public ClientEnd End { get; private set; }

    /// <summary>The client's end was written to the present leg.</summary>
    public bool IsEndSent { get; private set; }

    /// <summary>Nothing more is to be done for the connection.</summary>
    public bool IsOver { get; private set; }

    /// <summary>An owner has attached the connection: one that does not know it later has closed it.</summary>
    public bool WasAttached { get; private set; }

    /// <summary>A client that resumed says what it has.</summary>
    public void ResumeAt(long lastOut)
    {
        LastOut = LastShown = lastOut;
        WasAttached = true;
    }

    /// <summary>(2) (9) One more dial.</summary>
    public LegDial Dial(string connection, string verifier) =>
        new(connection, ++Attempt, (WasAttached ? DialFlags.Attached : 0) | (IsResuming ? DialFlags.HasToken : 0), LastOut, verifier);

    /// <summary>(3) The owner has the connection: what it has confirmed is dropped, the rest is sent again.</summary>
    public void Attached(LegAttached attached)
    {
        _isAttached = WasAttached = true;
        IsEndSent = false;
        _sent = 0;
        if (_lastIn < attached.LastIn) _lastIn = attached.LastIn; // A resumed connection, at a carrier that has not seen its messages.
        Confirm(attached.LastIn);
        _sentUpTo = Math.Max(attached.LastIn, _confirmed);
    }

    /// <summary>(4) There is room for a message of this length: one may always go.</summary>
    public bool HasRoomFor(int bytes) => _isClosedByOwner || KeptCount == 0 || (KeptCount < inFlightMax && _keptBytes + bytes <= inFlightBytesMax);

    /// <summary>(4) Takes the client's next message and numbers it.</summary>
    public void Take(LegFrameKind kind, ReadOnlySpan<byte> payload) => Keep(_lastIn + 1, kind, payload);

    /// <summary>(4) Takes a message that a resuming client numbered. False: had already.</summary>
    public bool Take(long number, LegFrameKind kind, ReadOnlySpan<byte> payload)
    {
        if (number <= _lastIn) return false;
        Keep(number, kind, payload);
        return true;
    }

    /// <summary>The next frame to write to the leg; null when all is written. The client's end comes after its messages.</summary>
    public InFrame? NextToSend()
    {
        if (!_isAttached) return null;
        if (_sent < KeptCount && !_isClosedByOwner)
        {
            var frame = _kept![_sent++];
            _sentUpTo = frame.Number;
            return frame;
        }
        if (_end is null || IsEndSent) return null;
        IsEndSent = true;
        return new InFrame(0, _end);
    }

    /// <summary>What a frame from the owner means now.</summary>
    public CarrierStep Received(LegFrameKind kind, long number)
    {
        if (!_isAttached || _isClosedByOwner) return CarrierStep.Broken;
        switch (kind)
        {
            case LegFrameKind.Text or LegFrameKind.Binary:
                return number <= LastShown || End is not (ClientEnd.None or ClientEnd.Closed) ? CarrierStep.Drop : CarrierStep.Show;
            case LegFrameKind.Confirm:
                if (number > _sentUpTo) return CarrierStep.Broken;
                Confirm(number);
                return CarrierStep.Confirmed;
            case LegFrameKind.Close:
                _isClosedByOwner = true;
                return CarrierStep.Close;
            case LegFrameKind.Moved:
                _isAttached = false;
                return CarrierStep.Moved;
            default:
                return CarrierStep.Broken;
        }
    }

    /// <summary>(5) A message is about to be written to a resuming client's socket. It may be confirmed before the write is known to have ended.</summary>
    public void Showing(long number) => _showing = number;

    /// <summary>(5) A message was written to the client's socket.</summary>
    public void Shown(long number)
    {
        LastShown = number;
        if (!IsResuming) LastOut = number;
    }

    /// <summary>(5) A resuming client has everything up to the number. False: it was never shown that much.</summary>
    public bool Has(long number)
    {
        if (number > Math.Max(LastShown, _showing)) return false;
        LastShown = Math.Max(LastShown, number);
        LastOut = Math.Max(LastOut, number);
        return true;
    }

    /// <summary>(6) The client's side ended; the first end counts.</summary>
    /// <param name="end">How.</param>
    /// <param name="code">Close code, for <see cref="ClientEnd.Closed"/>.</param>
    /// <param name="reason">Reason, for <see cref="ClientEnd.Closed"/>.</param>
    public void ClientEnded(ClientEnd end, int code = 0, string reason = "")
    {
        if (End is not ClientEnd.None) return;
        End = end;
        if (end is ClientEnd.Away) IsOver = true;
        else _end = end is ClientEnd.Closed ? LegFrame.Of(LegFrameKind.Close, code, Encoding.UTF8.GetBytes(reason)) : LegFrame.Of(LegFrameKind.Gone, LastOut, []);
    }

    /// <summary>(10) The leg ended.</summary>
    /// <param name="isClean">The owner ended its stream, which after the client's end is its answer.</param>
    public void LegEnded(bool isClean)
    {
        if (_isClosedByOwner || (isClean && _isAttached && IsEndSent)) IsOver = true;
        _isAttached = false;
    }

    /// <summary>Gives the connection up: nobody answered in time.</summary>
    public void GiveUp() => IsOver = true;

    private void Keep(long number, LegFrameKind kind, ReadOnlySpan<byte> payload)
    {
        if (_isClosedByOwner) return; // (6) Nobody will read it.
        _lastIn = number;
        (_kept ??= []).Add(new InFrame(number, LegFrame.Of(kind, number, payload)));
        _keptBytes += payload.Length;
    }

    private void Confirm(long number)
    {
        if (number <= _confirmed) return;
        _confirmed = number;
        var count = 0;
        while (count < KeptCount && _kept![count].Number <= number) _keptBytes -= _kept[count++].Bytes.Length - LegFrame.HeadBytes;
        if (count == KeptCount) _kept = null;
        else _kept!.RemoveRange(0, count);
        _sent = Math.Max(_sent - count, 0);
    }
}

using System.Text;
using ShardCloud.ShardRuntime.Sockets.Connections;
using ShardCloud.ShardRuntime.Sockets.Legs;

namespace ShardCloud.ShardRuntime.Sockets.Owner;

/// <summary>How far a leg has been shown what a document holds for its connection, and what comes next. Pure: one caller at a time.</summary>
/// <param name="lastOut">Highest out-number that the client had when it dialled.</param>
/// <param name="lastIn">Highest in-number that the carrier was told.</param>
internal sealed class LegView(long lastOut, long lastIn)
{
    private long _shownOut = lastOut, _confirmedIn = lastIn;
    private volatile bool _isBlocked;

    /// <summary>A message waits for the window: a confirmation must show the document again.</summary>
    public bool IsBlocked => _isBlocked;

    /// <summary>The close was said; the carrier answers it.</summary>
    public bool HasSaidClose { get; private set; }

    /// <summary>Writes what the connection has not been shown yet: messages in order as far as the window allows, then the confirmation, then a close.</summary>
    public void Show(ConnectionRow connection, IReadOnlyList<QueuedSend> sends, OutWindow window, Action<LegFrameKind, long, ReadOnlyMemory<byte>> write)
    {
        _isBlocked = false;
        foreach (var send in sends)
        {
            if (send.Number <= _shownOut) continue;
            if (send.IsFor(connection))
            {
                if (!TryEnter(window, send)) break;
                write(send.IsText ? LegFrameKind.Text : LegFrameKind.Binary, send.Number, send.Payload);
            }
            _shownOut = send.Number;
        }
        if (connection.In > _confirmedIn) write(LegFrameKind.Confirm, _confirmedIn = connection.In, default);
        if (connection.End is not { } end || _isBlocked || HasSaidClose) return;
        HasSaidClose = true;
        write(LegFrameKind.Close, end.Code, Encoding.UTF8.GetBytes(end.Reason));
    }

    private bool TryEnter(OutWindow window, QueuedSend send)
    {
        if (window.TryEnter(send.Number, send.Payload.Length)) return true;
        _isBlocked = true;
        // Between the look and the mark a confirmation may have made room, and woken nobody.
        if (!window.TryEnter(send.Number, send.Payload.Length)) return false;
        _isBlocked = false;
        return true;
    }
}

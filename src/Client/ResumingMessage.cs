using System.Text;

namespace ShardCloud.Client;

/// <summary>One message.</summary>
/// <param name="IsText">A text message; else a binary one.</param>
/// <param name="Payload">Its bytes.</param>
public sealed record ResumingMessage(bool IsText, ReadOnlyMemory<byte> Payload)
{
    /// <summary>The payload as text.</summary>
    public string Text => Encoding.UTF8.GetString(Payload.Span);
}

/// <summary>How a socket ended.</summary>
/// <param name="Code">RFC 6455, 7.4; 1006: lost for good, 1001: the server no longer knows it.</param>
/// <param name="Reason">What the other side said.</param>
public sealed record ResumingClose(int Code, string Reason);

using System.Text;

namespace ShardCloud.ShardRuntime;

/// <summary>One whole message of a socket: text, or bytes.</summary>
/// <param name="IsText">It was sent as text (RFC 6455, 5.6).</param>
/// <param name="Bytes">The bytes; UTF-8 for text.</param>
public readonly record struct SocketMessage(bool IsText, ReadOnlyMemory<byte> Bytes)
{
    /// <summary>The message as text.</summary>
    public string Text => Encoding.UTF8.GetString(Bytes.Span);

    /// <summary>A text message.</summary>
    public static implicit operator SocketMessage(string text) => new(true, Encoding.UTF8.GetBytes(text));

    /// <summary>A binary message; the bytes are not copied before they are sent.</summary>
    public static implicit operator SocketMessage(byte[] bytes) => new(false, bytes);

    /// <inheritdoc/>
    public override string ToString() => IsText ? Text : $"{Bytes.Length} bytes";
}

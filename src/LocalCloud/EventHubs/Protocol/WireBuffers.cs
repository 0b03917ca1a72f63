using System.Buffers;

namespace ShardCloud.LocalCloud.EventHubs.Protocol;

/// <summary>Arrays for requests and answers.</summary>
/// <remarks>
/// The shared pool keeps what every thread and core once had at the same time, so a broker that was briefly late holds tens of megabytes for good.
/// Large arrays come from a pool that keeps four of a size, 15.5 MiB in all; past that they are garbage.
/// </remarks>
internal static class WireBuffers
{
    private const int SmallBytes = 64 * 1024, LargestBytes = 2 * 1024 * 1024, KeptOfASize = 4;

    private static readonly ArrayPool<byte> Large = ArrayPool<byte>.Create(LargestBytes, KeptOfASize);

    /// <summary>An array of at least that many bytes; not cleared.</summary>
    public static byte[] Rent(int bytes) => (bytes <= SmallBytes ? ArrayPool<byte>.Shared : Large).Rent(bytes);

    public static void Return(byte[] buffer) => (buffer.Length <= SmallBytes ? ArrayPool<byte>.Shared : Large).Return(buffer);
}

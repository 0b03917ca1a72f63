using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace ShardCloud.DurableTask.Execution;

/// <summary>Name-based ids (RFC 4122 section 4.3, version 5) over instance, clock and a counter: the same on every replay.</summary>
internal static class DeterministicGuid
{
    private static readonly byte[] NamespaceBytes = new Guid("9e952958-5e33-4daf-827f-2fa12937b875").ToByteArray(bigEndian: true);

    public static Guid Create(string instanceId, DateTime clock, int counter)
    {
        var name = string.Create(CultureInfo.InvariantCulture, $"{instanceId}_{clock:o}_{counter}");
        Span<byte> hash = stackalloc byte[SHA1.HashSizeInBytes];
#pragma warning disable CA5350 // SHA-1 is what version 5 prescribes; it protects nothing here.
        SHA1.HashData([.. NamespaceBytes, .. Encoding.UTF8.GetBytes(name)], hash);
#pragma warning restore CA5350
        hash[6] = (byte)((hash[6] & 0x0F) | 0x50);
        hash[8] = (byte)((hash[8] & 0x3F) | 0x80);
        return new Guid(hash[..16], bigEndian: true);
    }
}

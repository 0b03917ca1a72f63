using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace ShardCloud.Packages;

/// <summary>What the first bytes of a program say of where it runs: ELF, Mach-O and PE headers.</summary>
/// <remarks>ELF: System V ABI, <c>e_machine</c>. PE: Microsoft's PE format, <c>Machine</c>. Mach-O: <c>cputype</c>. A script (<c>#!</c>) runs everywhere but on Windows.</remarks>
public static class Executable
{
    /// <summary>Bytes that are enough to tell; the PE header's offset is small in practice.</summary>
    public const int HeadBytes = 1024;

    /// <summary><c>linux-x64</c> and the like, as .NET names them; null where the head tells nothing.</summary>
    public static string? PlatformOf(ReadOnlySpan<byte> head)
    {
        if (head.Length >= 20 && head.StartsWith("\u007fELF"u8))
        {
            var isLittle = head[5] == 1;
            var machine = isLittle ? BinaryPrimitives.ReadUInt16LittleEndian(head[18..]) : BinaryPrimitives.ReadUInt16BigEndian(head[18..]);
            return machine switch { 62 => "linux-x64", 183 => "linux-arm64", 40 => "linux-arm", 3 => "linux-x86", _ => $"linux-machine-{machine}" };
        }
        if (head.Length >= 8 && BinaryPrimitives.ReadUInt32LittleEndian(head) == 0xFEED_FACF)
            return BinaryPrimitives.ReadUInt32LittleEndian(head[4..]) switch { 0x0100_0007 => "osx-x64", 0x0100_000C => "osx-arm64", var other => $"osx-cpu-{other:x}" };
        if (head.Length >= 64 && head.StartsWith("MZ"u8))
        {
            var at = BinaryPrimitives.ReadInt32LittleEndian(head[60..]);
            if (at < 0 || at + 6 > head.Length) return "win";
            return BinaryPrimitives.ReadUInt16LittleEndian(head[(at + 4)..]) switch { 0x8664 => "win-x64", 0xAA64 => "win-arm64", 0x014C => "win-x86", var other => $"win-machine-{other:x}" };
        }
        return null;
    }

    /// <summary>Where this process runs.</summary>
    public static string Here { get; } =
        $"{(OperatingSystem.IsWindows() ? "win" : OperatingSystem.IsMacOS() ? "osx" : "linux")}-{RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant()}";
}

using System.IO.Compression;
using System.Text;

namespace ShardCloud.Packages.Tests;

/// <summary>Zip files as a test wants them, unsafe ones too.</summary>
internal sealed class Zip
{
    public const string Manifest = """{"version":"2.0.0","command":["dotnet","App.dll","--fast"]}""";

    private readonly List<(string Name, byte[] Content, int Mode)> _entries = [];

    /// <summary>A package that is fine.</summary>
    public static Zip Good(string manifest = Manifest) => new Zip().With("shardcloud.json", manifest).With("App.dll", "not looked at");

    public Zip With(string name, string content, int mode = 0x81A4) => With(name, Encoding.UTF8.GetBytes(content), mode); // 0100644.

    public Zip With(string name, byte[] content, int mode = 0x81A4)
    {
        _entries.Add((name, content, mode));
        return this;
    }

    public byte[] ToBytes()
    {
        var bytes = new MemoryStream();
        using (var zip = new ZipArchive(bytes, ZipArchiveMode.Create, leaveOpen: true))
        {
            foreach (var (name, content, mode) in _entries)
            {
                var entry = zip.CreateEntry(name, CompressionLevel.NoCompression);
                entry.ExternalAttributes = mode << 16;
                using var stream = entry.Open();
                stream.Write(content);
            }
        }
        return bytes.ToArray();
    }

    public Package Open(string? platform = "linux-x64") => Package.Open(new MemoryStream(ToBytes()), platform);

    /// <summary>First bytes of a program of that machine number.</summary>
    public static byte[] Elf(byte machine) => [0x7f, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, machine, 0, 1, 0, 0, 0];
}

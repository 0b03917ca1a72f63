using System.Diagnostics;

namespace ShardCloud.Crdt.Tests;

/// <summary>
/// Bytes that nobody vouches for: they decode to a document that encodes to them, or give SC3010. No other exception, no allocation out of
/// proportion, nothing half applied. Runs for a fixed time with a new seed each time; a failure names the seed and the bytes.
/// </summary>
public sealed class FuzzTests(ITestOutputHelper output)
{
    private static readonly TimeSpan Budget = TimeSpan.FromSeconds(3);

    [Fact]
    public void Decode_AnyBytes_IsSoundOrRefused()
    {
        var seed = Environment.TickCount;
        var random = new Random(seed);
        var sources = Enumerable.Range(0, 40).Select(i => new World(Document.Join, Histories.Random(seed + i)))
            .SelectMany(world => world.Commits.Take(3).Select(commit => DocumentCodec.ToBytes(commit.Delta)).Append(DocumentCodec.ToBytes(world.States[0].Fold(new Epoch(1))))).ToArray();
        var target = new World(Document.Join, Histories.Random(seed)).States[1];
        var targetBytes = DocumentCodec.ToBytes(target);
        output.WriteLine($"seed {seed}");

        var (tried, accepted, clock) = (0, 0, Stopwatch.StartNew());
        while (clock.Elapsed < Budget)
        {
            for (var i = 0; i < 100; i++, tried++)
            {
                var bytes = random.Next(4) == 0 ? Noise(random) : Mutated(sources[random.Next(sources.Length)], random, sources);
                try
                {
                    if (Check(bytes, target)) accepted++;
                }
                catch (Exception error)
                {
                    Assert.Fail($"seed {seed}, bytes {Convert.ToHexString(bytes)}: {error}");
                }
            }
        }

        Assert.Equal(targetBytes, DocumentCodec.ToBytes(target));
        output.WriteLine($"{tried} inputs, {accepted} accepted");
        Assert.True(accepted > 0 && accepted < tried);
    }

    private static bool Check(byte[] bytes, Document target)
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        var isDocument = DocumentCodec.TryDecodeDocument(bytes, out var document);
        var isDelta = DocumentCodec.TryDecodeDelta(bytes, out var delta);
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        if (allocated > 20_000 + (300L * bytes.Length)) throw new InvalidOperationException($"{allocated} bytes allocated for {bytes.Length}");
        if (!isDocument && !isDelta) return false;

        var again = isDocument ? DocumentCodec.ToBytes(document!) : DocumentCodec.ToBytes(delta!);
        if (!again.AsSpan(1).SequenceEqual(bytes.AsSpan(1))) throw new InvalidOperationException($"encodes to {Convert.ToHexString(again)}");
        var content = document ?? delta!.Changes;
        var live = new LiveDocument(target);
        live.Join(content); // It may give a dot another meaning than the target does: then no law holds, but nothing breaks.
        var joined = live.Snapshot();
        if (!joined.LiveDots().All(dot => joined.Context.Contains(dot))) throw new InvalidOperationException("a live dot is not in the context");
        return true;
    }

    private static byte[] Noise(Random random)
    {
        var bytes = new byte[random.Next(1, 120)];
        random.NextBytes(bytes);
        if (random.Next(8) > 0) bytes[0] = (byte)(0x20 | (bytes[0] & 1)); // Past the version, or nothing else is reached.
        return bytes;
    }

    private static byte[] Mutated(byte[] source, Random random, byte[][] sources)
    {
        var bytes = source.ToList();
        for (var i = random.Next(1, 5); i > 0 && bytes.Count > 1; i--)
        {
            var at = random.Next(1, bytes.Count);
            switch (random.Next(7))
            {
                case 0: bytes[at] = (byte)random.Next(256); break;
                case 1: bytes.RemoveAt(at); break;
                case 2: bytes.Insert(at, (byte)random.Next(256)); break;
                case 3: bytes[at] = (byte)(bytes[at] + (random.Next(2) == 0 ? 1 : -1)); break;
                case 4: bytes.RemoveRange(at, bytes.Count - at); break;
                case 5: // The end of another document.
                    var other = sources[random.Next(sources.Length)];
                    bytes.RemoveRange(at, bytes.Count - at);
                    bytes.AddRange(other.Skip(Math.Min(at, other.Length)));
                    break;
                default: bytes[at] ^= (byte)(1 << random.Next(8)); break;
            }
        }
        return bytes.ToArray();
    }
}

using System.Diagnostics;
using System.IO.Compression;
using ShardCloud.Placement.Affinity;

namespace ShardCloud.Bench.Micro;

/// <summary>Question: how long is what a member tells of its observation, which the Orchestrator asks of all members once a minute, and what does packing it cost the member? With all bounds of the default reached, and every slot in use.</summary>
internal static class AffinitySize
{
    private const int Endpoints = 300_000, Calls = 2_000_000;

    public static void Print()
    {
        var observation = new AffinityObservation(new ObservationLimits(10_000, TimeSpan.FromMinutes(10), TimeSpan.FromSeconds(10), HasLoads: true), TimeProvider.System);
        var endpoints = Enumerable.Range(0, Endpoints).Select(i => new EndpointId($"documents/{i * 7919L % 1_000_003:d7}")).ToArray();
        var random = new Random(1);
        for (var call = 0; call < Calls; call++)
        {
            var from = endpoints[(int)(Endpoints * Math.Pow(random.NextDouble(), 3))];
            observation.Ran(from, random.NextDouble() / 1_000, random.Next(5_000));
            observation.Called(from, endpoints[(int)(Endpoints * Math.Pow(random.NextDouble(), 3))]);
        }

        Console.WriteLine("| | bytes | ms |\n| --- | --- | --- |");
        var began = Stopwatch.GetTimestamp();
        var map = observation.Read(stateBytes: _ => random.Next(100_000));
        var bytes = AffinityFile.Write(map);
        Row($"{map.Vertices.Count:N0} endpoints, {map.Edges.Count:N0} edges, {map.Slots.Count:N0} slots: read and written", bytes.Length, began);
        Pack("gzip, fastest", stream => new GZipStream(stream, CompressionLevel.Fastest, leaveOpen: true));
        Pack("gzip, optimal", stream => new GZipStream(stream, CompressionLevel.Optimal, leaveOpen: true));
        Pack("brotli, fastest", stream => new BrotliStream(stream, CompressionLevel.Fastest, leaveOpen: true));
        Pack("brotli, optimal", stream => new BrotliStream(stream, CompressionLevel.Optimal, leaveOpen: true));

        void Pack(string what, Func<Stream, Stream> by)
        {
            for (var turn = 0; turn < 3; turn++)
            {
                var at = Stopwatch.GetTimestamp();
                using var packed = new MemoryStream();
                using (var stream = by(packed)) stream.Write(bytes);
                if (turn == 2) Row(what, packed.Length, at);
            }
        }
    }

    private static void Row(string what, long bytes, long began) => Console.WriteLine(FormattableString.Invariant($"| {what} | {bytes:N0} | {Stopwatch.GetElapsedTime(began).TotalMilliseconds:0} |"));
}

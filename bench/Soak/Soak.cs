using System.Diagnostics;
using Confluent.Kafka;
using ShardCloud.Identity;

namespace ShardCloud.Bench.Soak;

/// <summary>Writes with two producers, reads every byte with two independent clients, comes and goes with a third, and looks at the broker's process meanwhile.</summary>
internal static class Soak
{
    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(1), VisitEvery = TimeSpan.FromSeconds(5), ReadersDeadline = TimeSpan.FromMinutes(2);

    public static async Task<int> RunAsync(Settings settings)
    {
        var folder = Directory.CreateTempSubdirectory("shardcloud-soak-").FullName;
        try
        {
            return await RunAsync(settings, folder);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task<int> RunAsync(Settings settings, string folder)
    {
        var kafkaJs = await KafkaJsReader.InstallAsync();
        var keyFile = Path.Combine(folder, "local.key");
        LocalKey.LoadOrCreate(keyFile);
        await using var broker = new Broker(settings, Path.Combine(folder, "data"), keyFile);
        await broker.StartAsync();
        Digest[] written = Digests(), read = Digests();
        var ends = new TaskCompletionSource<long[]>(TaskCreationOptions.RunContinuationsAsynchronously);
        using var failed = new CancellationTokenSource();
        using Writer
            plain = new(broker, seed: 1, Every(2, from: 0), written, config => config.LingerMs = 0),
            gzip = new(broker, seed: 2, Every(2, from: 1), written, config => (config.LingerMs, config.CompressionType) = (20, CompressionType.Gzip));
        await using var second = new KafkaJsReader(kafkaJs, broker, settings.Partitions, Path.Combine(folder, "ends.json"));
        var first = new ConfluentReader(broker, read).RunAsync(ends.Task, failed.Token);

        var begun = Stopwatch.GetTimestamp();
        var samples = new List<Sample>();
        var visits = new Visits(broker, settings.Partitions);
        var writing = Task.WhenAll(plain.RunAsync(settings.Rate / 2, settings.Writing, failed.Token), gzip.RunAsync(settings.Rate / 2, settings.Writing, failed.Token));
        var (nextVisit, ended, behind) = (VisitEvery, 0, 0L);
        using (var timer = new PeriodicTimer(LookEvery))
        {
            while (!writing.IsCompleted && !first.IsCompleted && !second.Exited.IsCompleted)
            {
                await timer.WaitForNextTickAsync();
                if (!broker.IsAlive) throw new InvalidOperationException($"The broker ended by itself: {broker.LastWords}");
                var at = Stopwatch.GetElapsedTime(begun);
                samples.Add(broker.Look(at));
                behind = Math.Max(behind, written.Sum(digest => digest.Count) - Math.Min(read.Sum(digest => digest.Count), second.Count));
                if (at >= nextVisit) (nextVisit, _) = (at + VisitEvery, visits.TryBegin());
                if (ended < settings.Ends && at > settings.Writing * (ended + 1) / (settings.Ends + 1)) await broker.EndAndStartAsync(gently: ended++ % 2 == 0);
                if (samples.Count % 60 == 0) Console.WriteLine($"{at:hh\\:mm\\:ss} {samples[^1].ResidentBytes / 1e6:0} MB resident, {written.Sum(digest => digest.Count)} written, {read.Sum(digest => digest.Count)} and {second.Count} read");
            }
        }

        // Whoever ended first by an error says why; the others are not waited for.
        await await Task.WhenAny(writing, first, second.FailedAsync());
        await writing;
        ends.SetResult([.. written.Select(digest => digest.Count)]);
        second.End(ends.Task.Result);
        await Task.WhenAll(first, second.Exited).WaitAsync(ReadersDeadline);
        await visits.EndAsync();
        samples.Add(broker.Look(Stopwatch.GetElapsedTime(begun)));
        return Report.Write(settings, new Outcome(
            samples, [.. written.Select(digest => digest.Count)], [.. written.Select(digest => digest.Bytes)],
            [.. written.Select(digest => digest.Text())], [.. read.Select(digest => digest.Text())], second.Result, plain.Wrong + gzip.Wrong, behind, ended, visits.Made, visits.Failed));

        Digest[] Digests() => [.. Enumerable.Range(0, settings.Partitions).Select(_ => new Digest())];
        int[] Every(int step, int from) => [.. Enumerable.Range(0, settings.Partitions).Where(partition => partition % step == from)];
    }
}

using System.Diagnostics;
using System.Globalization;
using ShardCloud.Bench.Resync;
using ShardCloud.Replication;

// Question: what does it cost to make two replicas equal again? Bar: at most 20 % of the state's bytes when a tenth of 100,000 endpoints diverged.
// Counted are the bytes of all messages and answers, both directions; they are the same at every run. Time is both sides' together, on one core.
CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
Console.WriteLine("| documents | encoded bytes | endpoints | diverged | whole state | exchange | of the state | messages | time |");
Console.WriteLine("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
foreach (var (name, make, count) in new (string, Func<int, SnapshotEndpoint>, int)[] { ("one counter", ResyncLoad.Counter, 100_000), ("chat room", ResyncLoad.Room, 100_000) })
{
    var before = Enumerable.Range(0, count).Select(make).ToArray();
    foreach (var every in new[] { 0, 10_000, 100, 10, 1 })
    {
        var after = before.Select((endpoint, i) => every > 0 && i % every == every / 2 ? ResyncLoad.Next(endpoint) : endpoint).ToArray();
        var (mine, theirs) = (Snapshot(before), Snapshot(after));
        var clock = Stopwatch.StartNew();
        var (differences, bytes, messages, isExact) = (0, 0L, 0, false);
        for (var salt = 1; !isExact; salt++)
        {
            var asker = new ExchangeAsker(ExchangeMode.Adopt, salt, positionMin: -1, "bench");
            var answerer = new ExchangeAnswerer(theirs, ExchangeMode.Adopt, salt);
            asker.Receive(answerer.Answer(asker.Next()));
            asker.Compare(mine);
            while (asker.Next() is { } message) asker.Receive(answerer.Answer(message));
            (differences, bytes, messages, isExact, mine) = (differences + asker.Differences.Count, bytes + asker.Bytes, messages + asker.Messages, asker.IsExact, asker.Adopted!);
        }
        clock.Stop();
        var whole = ResyncLoad.BytesOf(theirs);
        var encoded = before.Sum(e => (long)e.Document.EncodedSize) / count;
        Console.WriteLine($"| {name} | {encoded} | {count:N0} | {differences:N0} | {whole:N0} B | {bytes:N0} B | {100.0 * bytes / whole:0.000} % | {messages} | {clock.ElapsedMilliseconds} ms |");
    }
}

static PartitionSnapshot Snapshot(IReadOnlyList<SnapshotEndpoint> endpoints) => new PartitionReplica(0, 1, "bench").Capture().With(2_000_000, endpoints);

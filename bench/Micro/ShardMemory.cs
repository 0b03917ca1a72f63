using System.Diagnostics;
using ShardCloud.Crdt;
using ShardCloud.Replication;

namespace ShardCloud.Bench.Micro;

/// <summary>Questions: what does a shard weigh that owns a million endpoints with one counter each, all written under its tenure? How fast are they written to a snapshot, and restored?</summary>
/// <remarks>
/// The production classes as the shell uses them (replica, tenure, codec), 16 Event Hub partitions, a log that acknowledges at once and keeps nothing. Bars: under 600 MB of process
/// memory; snapshot and restore at 200,000 endpoints/s or better. Runs in its own process, with the garbage collector that shards are given (workstation).
/// </remarks>
internal static class ShardMemory
{
    private const int Endpoints = 1_000_000, Partitions = 16, DeltasInARecord = 256;
    private static readonly IncarnationId Self = new("shard-1~1");

    public static async Task PrintAsync()
    {
        var before = GC.GetTotalMemory(forceFullCollection: true);
        Console.WriteLine("| | value |\n| --- | --- |");
        var tenures = Own();
        Report("owner: replicas and tenures, every endpoint written", before);

        var replicas = tenures.Select(tenure => tenure.Replica).ToArray();
        tenures.Clear();
        Report("backup: the same replicas alone", before);

        var snapshots = new MemoryStream[Partitions];
        var writing = Stopwatch.StartNew();
        for (var partition = 0; partition < Partitions; partition++) await replicas[partition].Capture().WriteAsync(snapshots[partition] = new MemoryStream());
        Rate("snapshot: capture and encode", writing.Elapsed, snapshots.Sum(s => s.Length));
        replicas = [];
        GC.Collect();

        var reading = Stopwatch.StartNew();
        var restored = new PartitionReplica[Partitions];
        for (var partition = 0; partition < Partitions; partition++)
        {
            snapshots[partition].Position = 0;
            restored[partition] = PartitionReplica.From(await PartitionSnapshot.ReadAsync(snapshots[partition]));
        }
        Rate("restore: read, check and rebuild the replicas", reading.Elapsed, snapshots.Sum(s => s.Length));
        if (restored.Sum(replica => replica.EndpointCount) != Endpoints) throw new InvalidOperationException("endpoints are missing");
        Array.Clear(snapshots);
        Report("newcomer: replicas as restored", before);
        GC.KeepAlive(restored);
    }

    private static List<Tenure> Own()
    {
        var tenures = new List<Tenure>();
        for (var partition = 0; partition < Partitions; partition++)
        {
            var tenure = new Tenure(new PartitionReplica(partition, Partitions, "log"), Self, AckMode.Log, () => true);
            tenure.Begin(new Epoch(7), GrantCoverage.OfSlots([SlotRange.OfPartition(partition, Partitions)]), null);
            tenures.Add(tenure);
        }
        var offsets = new long[Partitions];
        for (var number = 1; number <= Endpoints; number++)
        {
            var endpoint = new EndpointId($"rooms/{number}");
            var partition = endpoint.Slot.PartitionOf(Partitions);
            var tenure = tenures[partition];
            if (number == 1) for (var i = 0; i < Partitions; i++) Log(tenures[i], ref offsets[i]);
            var state = tenure.Open(endpoint) ?? throw new InvalidOperationException($"{endpoint} is not owned");
            var transaction = new DocumentTransaction(state.Current, state.Holding.Epoch, state.NextSequence);
            transaction.Counter("visits").Increment();
            var delta = transaction.Commit(out var next, out _);
            if (tenure.Commit(state, delta, next, DocumentCodec.ToBytes(delta)) != CommitOutcome.Committed) throw new InvalidOperationException("not committed");
            if (number % DeltasInARecord == 0 || number == Endpoints) for (var i = 0; i < Partitions; i++) Log(tenures[i], ref offsets[i]);
        }
        return tenures;
    }

    private static void Log(Tenure tenure, ref long offset)
    {
        while (tenure.TakeRecord() is { } record) tenure.Produced(record, offset++);
        foreach (var due in tenure.TakeDue()) due();
    }

    private static void Report(string what, long before)
    {
        GC.Collect(2, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        var heap = GC.GetTotalMemory(forceFullCollection: true) - before;
        Console.WriteLine($"| {what}: managed heap | {heap / 1e6:0} MB, {heap / (double)Endpoints:0} B each |");
        using var process = Process.GetCurrentProcess();
        Console.WriteLine($"| {what}: working set | {process.WorkingSet64 / 1e6:0} MB |");
    }

    private static void Rate(string what, TimeSpan took, long bytes) =>
        Console.WriteLine($"| {what} | {Endpoints / took.TotalSeconds:N0} endpoints/s, {bytes / 1e6 / took.TotalSeconds:0} MB/s, {bytes / (double)Endpoints:0} B each |");
}

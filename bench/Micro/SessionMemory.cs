using System.Diagnostics;
using System.Text;
using ShardCloud.Crdt;
using ShardCloud.Replication;

namespace ShardCloud.Bench.Micro;

/// <summary>Question: what does a shard weigh after a million sessions have begun and expired, where spent documents stay and where they leave (docs/protocol/forgetting.md)?</summary>
/// <remarks>
/// The production classes as the shell uses them (replica, tenure, codec), 16 Event Hub partitions, a log that acknowledges at once and keeps nothing. 50,000 sessions live at a time, each with two values and
/// a deadline; then they expire and the next ones begin. Spent documents leave as the defaults of <c>ShardCloud:Spent</c> say, with one look for each 50,000. Run each mode in its own process.
/// </remarks>
internal static class SessionMemory
{
    private const int Sessions = 1_000_000, Alive = 50_000, Partitions = 16, DeltasInARecord = 4_096, Least = 10_000;
    private static readonly IncarnationId Self = new("shard-1~1");

    public static async Task PrintAsync(bool forgets)
    {
        var before = GC.GetTotalMemory(forceFullCollection: true);
        Console.WriteLine($"| spent documents {(forgets ? "leave" : "stay")} | value |\n| --- | --- |");
        var backup = Run(forgets, before);
        Report("backup: its replicas alone", before);

        var snapshots = 0L;
        foreach (var replica in backup)
        {
            var stream = new MemoryStream();
            await replica.Capture().WriteAsync(stream);
            snapshots += stream.Length;
        }
        Console.WriteLine($"| snapshots | {snapshots / 1e6:0.0} MB |");
        GC.KeepAlive(backup);
    }

    private static PartitionReplica[] Run(bool forgets, long before)
    {
        var (epoch, most, renewals) = (7L, 0, 0);
        var owner = Enumerable.Range(0, Partitions).Select(partition => new Partition(partition)).ToArray();
        foreach (var partition in owner) partition.Begin(epoch);
        var watch = Stopwatch.StartNew();
        for (var first = 0; first < Sessions; first += Alive)
        {
            Write(owner, first, t =>
            {
                t.Register("user").Set("ada@example.org");
                t.Register("cart").Set(12);
                t.Register("\0s").Set(1_200_000);
                t.Register("\0d").Set(1_764_460_800_000);
            });
            most = Math.Max(most, owner.Sum(partition => partition.Backup.EndpointCount));
            Write(owner, first, t =>
            {
                foreach (var name in (string[])["user", "cart", "\0s", "\0d"]) t.Register(name).Clear();
            });
            if (!forgets) continue;
            foreach (var partition in owner)
            {
                var (spent, kept) = partition.Tenure.CountSpent();
                if (spent < Least || spent < kept) continue;
                partition.Begin(++epoch, partition.Tenure.Replica.Position);
                renewals++;
            }
        }
        Console.WriteLine($"| sessions begun and expired | {Sessions:N0} in {watch.Elapsed.TotalSeconds:0} s, {renewals} renewed grants |");
        Console.WriteLine($"| documents of a replica: most, at the end | {most:N0}, {owner.Sum(partition => partition.Backup.EndpointCount):N0} |");
        Report("owner: replicas and tenures, and its backup's replicas", before);
        return [.. owner.Select(partition => partition.Backup)];
    }

    private static void Write(Partition[] owner, int first, Action<DocumentTransaction> change)
    {
        for (var number = first; number < first + Alive; number++)
        {
            var name = Convert.ToBase64String(System.Security.Cryptography.SHA256.HashData(Encoding.UTF8.GetBytes($"{number}")).AsSpan(0, 24)).Replace('+', '-').Replace('/', '_');
            var endpoint = new EndpointId($"_shard-sessions/{name}");
            var tenure = owner[endpoint.Slot.PartitionOf(Partitions)].Tenure;
            var state = tenure.Open(endpoint) ?? throw new InvalidOperationException($"{endpoint} is not owned");
            var transaction = new DocumentTransaction(state.Current, state.Holding.Epoch, state.NextSequence);
            change(transaction);
            var delta = transaction.Commit(out var next, out _);
            if (tenure.Commit(state, delta, next, DocumentCodec.ToBytes(delta)) != CommitOutcome.Committed) throw new InvalidOperationException("not committed");
            if (number % DeltasInARecord == 0) foreach (var partition in owner) partition.Log();
        }
        foreach (var partition in owner) partition.Log();
    }

    private static void Report(string what, long before)
    {
        GC.Collect(2, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        var heap = GC.GetTotalMemory(forceFullCollection: true) - before;
        using var process = Process.GetCurrentProcess();
        Console.WriteLine($"| {what}: managed heap; working set | {heap / 1e6:0.0} MB, {heap / (double)Sessions:0} B a session; {process.WorkingSet64 / 1e6:0} MB |");
    }

    /// <summary>An owner's half and its backup's of one Event Hub partition.</summary>
    private sealed class Partition(int number)
    {
        private long _offset;

        public Tenure Tenure { get; } = new(new PartitionReplica(number, Partitions, "log"), Self, AckMode.Log, () => true);

        public PartitionReplica Backup { get; } = new(number, Partitions, "log");

        public void Begin(long epoch, long forgetTo = -1)
        {
            Tenure.Begin(new Epoch(epoch), GrantCoverage.OfSlots([SlotRange.OfPartition(number, Partitions)]), null, forgetTo);
            Log();
        }

        public void Log()
        {
            while (Tenure.TakeRecord() is { } record)
            {
                Backup.Apply(_offset, record.Bytes, Deaf.Instance);
                Tenure.Produced(record, _offset++);
            }
            foreach (var due in Tenure.TakeDue()) due();
        }
    }

    private sealed class Deaf : IReplicaSink
    {
        public static readonly Deaf Instance = new();

        public void Accepted(in LoggedDelta delta) { }

        public void Rejected(in LoggedDelta delta) { }

        public void GrantLanded(in LoggedGrant grant) { }

        public void Incomplete(in ReplicaFault fault) => throw new InvalidOperationException(fault.Reason);
    }
}

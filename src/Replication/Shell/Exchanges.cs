using System.Diagnostics.CodeAnalysis;

namespace ShardCloud.Replication;

/// <summary>Carries one message of an exchange to a peer's <see cref="ReplicationService.AnswerExchangeAsync"/> and brings its answer; null: the peer refused, or could not be reached.</summary>
public delegate Task<byte[]?> ExchangeLink(ReadOnlyMemory<byte> message, CancellationToken cancellation);

/// <summary>What an exchange between two complete replicas found.</summary>
/// <param name="Position">The offset at which they were compared.</param>
/// <param name="Differences">Endpoints that differed.</param>
/// <param name="Taken">Of them, in how many the asker lacked something.</param>
/// <param name="Pushed">Of them, in how many the answerer did.</param>
/// <param name="Bytes">Bytes of all messages and answers.</param>
public sealed record ExchangeReport(long Position, IReadOnlyCollection<EndpointId> Differences, int Taken, int Pushed, long Bytes);

/// <summary>The answering ends of the exchanges under way at a member. Bounded: one for each asker and partition, few at a time, each forgotten after a while. Thread-safe.</summary>
internal sealed class ExchangeTable(TimeProvider time)
{
    /// <summary>Each holds one frozen state: references to documents that have mostly not changed since.</summary>
    private const int ExchangesMax = 4;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly Lock _gate = new();
    private readonly Dictionary<(int Partition, string Asker), (ExchangeAnswerer Answerer, long UsedAt)> _open = [];

    /// <summary>Whether one more may begin now; what its asker has left behind goes.</summary>
    public bool MayOpen(int partition, string asker)
    {
        lock (_gate)
        {
            foreach (var (key, exchange) in _open.ToArray())
                if (key == (partition, asker) || time.GetElapsedTime(exchange.UsedAt) > Patience) _open.Remove(key);
            return _open.Count < ExchangesMax;
        }
    }

    public void Open(int partition, string asker, ExchangeAnswerer answerer)
    {
        lock (_gate) _open[(partition, asker)] = (answerer, time.GetTimestamp());
    }

    public void Close(int partition, string asker)
    {
        lock (_gate) _open.Remove((partition, asker));
    }

    public bool TryGet(int partition, string asker, [NotNullWhen(true)] out ExchangeAnswerer? answerer)
    {
        lock (_gate)
        {
            answerer = _open.TryGetValue((partition, asker), out var exchange) ? exchange.Answerer : null;
            if (answerer is not null) _open[(partition, asker)] = (answerer, time.GetTimestamp());
            return answerer is not null;
        }
    }
}

/// <summary>Runs the asking end over a link.</summary>
internal static class ExchangeRun
{
    private const int AdoptRoundsMax = 3;

    /// <summary>The peer's complete state, of which only what differs has travelled; null when the peer cannot give it.</summary>
    /// <param name="mine">What this replica holds, complete or not.</param>
    /// <param name="positionMin">The peer's state must stand there or later.</param>
    /// <param name="link">To the peer.</param>
    /// <param name="cancellation">Gives up.</param>
    public static async Task<(PartitionSnapshot State, ExchangeReport Report)?> AdoptAsync(PartitionSnapshot mine, long positionMin, ExchangeLink link, CancellationToken cancellation)
    {
        var (differences, bytes) = (new HashSet<EndpointId>(), 0L);
        for (var round = 1; round <= AdoptRoundsMax; round++)
        {
            // Each round has a salt of its own: what one overlooked, the next one finds.
            var asker = new ExchangeAsker(ExchangeMode.Adopt, Random.Shared.NextInt64(), positionMin, mine.LogIdentity, whole: round == AdoptRoundsMax);
            var from = mine;
            if (!await RunAsync(asker, _ => Task.FromResult(from), link, cancellation).ConfigureAwait(false)) return null;
            differences.UnionWith(asker.Differences);
            bytes += asker.Bytes;
            if (asker.IsExact) return (asker.Adopted!, new ExchangeReport(asker.Position, differences, differences.Count, 0, bytes));
            mine = asker.Adopted!;
        }
        return null;
    }

    /// <summary>Compares two complete replicas; null when the peer cannot.</summary>
    /// <param name="mine">What this replica holds once it has read to an offset.</param>
    /// <param name="identity">The log's.</param>
    /// <param name="positionMin">The peer's state must stand there or later.</param>
    /// <param name="whole">Whole documents instead of what contexts say is lacking.</param>
    /// <param name="link">To the peer.</param>
    /// <param name="cancellation">Gives up.</param>
    public static async Task<ExchangeAsker?> JoinAsync(Func<long, Task<PartitionSnapshot>> mine, string identity, long positionMin, bool whole, ExchangeLink link, CancellationToken cancellation)
    {
        var asker = new ExchangeAsker(ExchangeMode.Join, Random.Shared.NextInt64(), positionMin, identity, whole);
        return await RunAsync(asker, mine, link, cancellation).ConfigureAwait(false) ? asker : null;
    }

    public static ExchangeReport ReportOf(ExchangeAsker asker, long bytes) => new(asker.Position, asker.Differences, asker.Taken.Count, asker.Pushed, bytes);

    private static async Task<bool> RunAsync(ExchangeAsker asker, Func<long, Task<PartitionSnapshot>> mine, ExchangeLink link, CancellationToken cancellation)
    {
        while (asker.Next() is { } message)
        {
            if (await link(message, cancellation).ConfigureAwait(false) is not { } answer) return asker.IsOver;
            var isFirst = asker.Messages == 1;
            asker.Receive(answer);
            if (isFirst) asker.Compare(await mine(asker.Position).ConfigureAwait(false));
        }
        return true;
    }
}

using System.Buffers;

namespace ShardCloud.Replication;

/// <summary>One request's delta, as the owner sends it to the named backup and as that keeps it.</summary>
/// <param name="Endpoint">Whose state it changes.</param>
/// <param name="Epoch">Epoch of the owner that made it.</param>
/// <param name="First">First sequence it issues.</param>
/// <param name="Last">Last sequence it issues.</param>
/// <param name="Delta">The encoded delta.</param>
public readonly record struct CopiedDelta(EndpointId Endpoint, Epoch Epoch, long First, long Last, ReadOnlyMemory<byte> Delta);

/// <summary>Deltas of one Event Hub partition on their way from their owner to its named backup (<c>ack: replica</c>).</summary>
/// <param name="Backup">For whom.</param>
/// <param name="Deltas">In the order of their commits.</param>
public sealed record BackupBatch(IncarnationId Backup, IReadOnlyList<CopiedDelta> Deltas)
{
    private const byte Version = 1;

    /// <summary>Whose answers wait for it, in the order of <see cref="Deltas"/>; empty at the backup.</summary>
    internal IReadOnlyList<OwnedState> States { get; init; } = [];

    /// <summary>Appends it as bytes: <c>version u8 | CRC-32C u32 | backup, (endpoint, epoch, first, last, delta)*</c>.</summary>
    public void Write(IBufferWriter<byte> output)
    {
        using var body = new ByteWriter(4096);
        body.Text(Backup.Value);
        body.Varint(Deltas.Count);
        foreach (var copy in Deltas)
        {
            body.Text(copy.Endpoint.Value);
            body.Varint(copy.Epoch.Value);
            body.Varint(copy.First);
            body.Varint(copy.Last);
            body.Bytes(copy.Delta.Span);
        }
        Checksummed.Write(output, Version, body.Written);
    }

    /// <summary>Reads one; the deltas stay parts of <paramref name="bytes"/>.</summary>
    /// <exception cref="ShardCloudException">SC3010: damaged, or of another version.</exception>
    public static BackupBatch Read(ReadOnlyMemory<byte> bytes)
    {
        var reader = new ByteReader(bytes.Span);
        if (!Checksummed.ReadHead(ref reader, bytes.Span, Version)) throw Errors.BackupBatchCorrupt();
        var (backup, deltas) = (reader.Incarnation(), new List<CopiedDelta>());
        for (var count = reader.Count(bytesEach: 5); count > 0 && !reader.Bad; count--)
        {
            var (endpoint, epoch, first, last) = (reader.Endpoint(), new Epoch(reader.Varint()), reader.Varint(), reader.Varint());
            var length = reader.Bytes().Length;
            if (!reader.Bad) deltas.Add(new CopiedDelta(endpoint, epoch, first, last, bytes.Slice(reader.At - length, length)));
        }
        return reader.AtEnd ? new BackupBatch(backup, deltas) : throw Errors.BackupBatchCorrupt();
    }
}

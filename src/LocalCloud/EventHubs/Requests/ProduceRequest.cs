using ShardCloud.LocalCloud.EventHubs.Log;
using ShardCloud.LocalCloud.EventHubs.Protocol;

namespace ShardCloud.LocalCloud.EventHubs.Requests;

/// <summary>Produce, versions 3 to 7: verify, store, answer. The answer follows the write, whatever <c>acks</c> says; 0 asks for no answer.</summary>
internal static class ProduceRequest
{
    private const short AcksAll = -1, AcksLeader = 1, AcksNone = 0;

    /// <returns>Whether the client wants the answer.</returns>
    public static bool Handle(ref RequestReader request, short version, HubCatalog hubs, LocalEventHubsOptions options, ResponseWriter answer)
    {
        _ = request.NullableString(); // transactional id: batches that belong to a transaction are refused one by one
        var acks = request.Int16();
        _ = request.Int32(); // timeout: nothing here waits for other brokers

        var topics = request.Count();
        answer.Int32(Math.Max(topics, 0));
        for (var topic = 0; topic < topics; topic++)
        {
            var name = request.String();
            var partitions = request.Count();
            answer.String(name);
            answer.Int32(Math.Max(partitions, 0));
            for (var index = 0; index < partitions; index++)
            {
                var partition = request.Int32();
                var batch = request.Bytes();
                var log = hubs.Find(name, partition);
                var (error, offset) = acks is not (AcksAll or AcksLeader or AcksNone) ? (KafkaError.InvalidRequiredAcks, -1)
                    : log is null ? (KafkaError.UnknownTopicOrPartition, -1)
                    : Store(log, batch, options);
                answer.Int32(partition);
                answer.Error(error);
                answer.Int64(offset);
                answer.Int64(-1); // time stamps are the writer's
                if (version >= 5) answer.Int64(log?.Bounds.Start ?? -1);
            }
        }

        answer.Int32(0); // throttle time
        return acks != AcksNone;
    }

    private static (KafkaError Error, long Offset) Store(PartitionLog log, Span<byte> batch, LocalEventHubsOptions options)
    {
        if (batch.Length > options.PublicationBytesMax) return (KafkaError.MessageTooLarge, -1);
        if (!BatchHeader.TryParse(batch, out var header) || header.Size != batch.Length) return (KafkaError.CorruptMessage, -1); // exactly one batch
        if (!header.ChecksumHolds(batch)) return (KafkaError.CorruptMessage, -1);
        if (header.IsTransactional) return (KafkaError.InvalidRecord, -1);
        if (header.Compression > 1) return (KafkaError.UnsupportedCompressionType, -1); // Event Hubs knows gzip only
        return log.Append(batch, header);
    }
}

using ShardCloud.LocalCloud.EventHubs.Log;
using ShardCloud.LocalCloud.EventHubs.Protocol;

namespace ShardCloud.LocalCloud.EventHubs.Requests;

/// <summary>Produce, versions 3 to 7: verify, store, answer. The answer follows the write, whatever <c>acks</c> says; 0 asks for no answer.</summary>
/// <remarks>
/// Past the throughput units the answer is late and says so (throttle time); where it would come after the client's timeout, nothing is stored and the
/// answer is a policy violation at once: learn.microsoft.com/azure/event-hubs/apache-kafka-troubleshooting-guide.
/// </remarks>
internal static class ProduceRequest
{
    private const short AcksAll = -1, AcksLeader = 1, AcksNone = 0;

    /// <returns>Whether the client wants the answer.</returns>
    public static bool Handle(
        ref RequestReader request, short version, HubCatalog hubs, LocalEventHubsOptions options, ThroughputMeter? meter, ResponseWriter answer, out TimeSpan delay)
    {
        _ = request.NullableString(); // transactional id: batches that belong to a transaction are refused one by one
        var acks = request.Int16();
        var timeout = TimeSpan.FromMilliseconds(Math.Max(0, request.Int32()));
        var admitted = meter is null ? TimeSpan.Zero : Admit(meter, request, timeout);
        delay = admitted ?? TimeSpan.Zero;

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
                    : admitted is null ? (KafkaError.PolicyViolation, -1)
                    : Store(log, batch, options);
                answer.Int32(partition);
                answer.Error(error);
                answer.Int64(offset);
                answer.Int64(-1); // time stamps are the writer's
                if (version >= 5) answer.Int64(log?.Bounds.Start ?? -1);
            }
        }

        answer.Int32((int)delay.TotalMilliseconds); // throttle time
        return acks != AcksNone;
    }

    /// <summary>Counts the whole request before any of it is stored.</summary>
    /// <param name="meter">The namespace's.</param>
    /// <param name="ahead">A copy: the request itself is not read on.</param>
    /// <param name="timeout">The client's.</param>
    private static TimeSpan? Admit(ThroughputMeter meter, RequestReader ahead, TimeSpan timeout)
    {
        long bytes = 0, events = 0;
        for (var topics = ahead.Count(); topics > 0; topics--)
        {
            _ = ahead.String();
            for (var partitions = ahead.Count(); partitions > 0; partitions--)
            {
                _ = ahead.Int32();
                var batch = ahead.Bytes();
                bytes += batch.Length;
                if (BatchHeader.TryParse(batch, out var header)) events += header.LastOffsetDelta + 1L;
            }
        }

        return meter.TryTakeIn(bytes, events, timeout);
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

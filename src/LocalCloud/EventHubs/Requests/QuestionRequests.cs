using System.Security.Cryptography;
using ShardCloud.LocalCloud.EventHubs.Log;
using ShardCloud.LocalCloud.EventHubs.Protocol;

namespace ShardCloud.LocalCloud.EventHubs.Requests;

/// <summary>Requests that change nothing: what is spoken, which hubs there are, where their logs begin and end.</summary>
internal static class QuestionRequests
{
    private const string Host = "127.0.0.1";
    private const int BrokerId = 0;
    private const long Latest = -1, Earliest = -2;

    public static void ApiVersions(KafkaError error, bool authentication, ResponseWriter answer)
    {
        var offered = ApiVersionTable.Offered(authentication);
        answer.Error(error);
        answer.Int32(offered.Length);
        foreach (var (key, min, max) in offered)
        {
            answer.Int16((short)key);
            answer.Int16(min);
            answer.Int16(max);
        }
    }

    /// <summary>Metadata, versions 0 to 4. The cluster id is the identity of the data folder; see <see cref="HubCatalog"/>.</summary>
    public static void Metadata(ref RequestReader request, short version, HubCatalog hubs, int port, ResponseWriter answer)
    {
        var count = request.Count();
        var all = count == -1 || (version == 0 && count == 0);
        var names = all ? hubs.All.Select(hub => hub.Name).ToHashSet(StringComparer.Ordinal) : new HashSet<string>(StringComparer.Ordinal); // Once each: an answer is far longer than a name.
        for (var index = 0; index < count; index++) names.Add(request.String());

        if (version >= 3) answer.Int32(0); // throttle time
        answer.Int32(1);
        answer.Int32(BrokerId);
        answer.String(Host);
        answer.Int32(port);
        if (version >= 1) answer.String(null); // rack
        if (version >= 2) answer.String(hubs.Identity.ToString());
        if (version >= 1) answer.Int32(BrokerId); // controller
        answer.Int32(names.Count);
        foreach (var name in names)
        {
            var hub = hubs.Find(name);
            answer.Error(hub is null ? KafkaError.UnknownTopicOrPartition : KafkaError.None);
            answer.String(name);
            if (version >= 1) answer.Byte(0); // internal
            answer.Int32(hub?.Partitions.Length ?? 0);
            for (var partition = 0; partition < (hub?.Partitions.Length ?? 0); partition++)
            {
                answer.Error(KafkaError.None);
                answer.Int32(partition);
                answer.Int32(BrokerId); // leader
                OneBroker(answer); // replicas
                OneBroker(answer); // in sync
            }
        }

        static void OneBroker(ResponseWriter answer)
        {
            answer.Int32(1);
            answer.Int32(BrokerId);
        }
    }

    /// <summary>ListOffsets, version 1: the end (−1), the beginning (−2), or the first record at or after a time stamp.</summary>
    public static void ListOffsets(ref RequestReader request, HubCatalog hubs, ResponseWriter answer)
    {
        _ = request.Int32(); // replica id
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
                var timestamp = request.Int64();
                var log = hubs.Find(name, partition);
                var (offset, found) = log is null ? (-1, -1) : timestamp switch
                {
                    Latest => (log.Bounds.End, -1),
                    Earliest => (log.Bounds.Start, -1),
                    _ => log.FirstAt(timestamp),
                };
                answer.Int32(partition);
                answer.Error(log is null ? KafkaError.UnknownTopicOrPartition : KafkaError.None);
                answer.Int64(found);
                answer.Int64(offset);
            }
        }
    }

    /// <summary>InitProducerId, versions 0 and 1. Ids are random: none is kept, and 62 bits do not repeat.</summary>
    public static void InitProducerId(ref RequestReader request, ResponseWriter answer)
    {
        var transactional = request.NullableString() is not null;
        _ = request.Int32();
        answer.Int32(0); // throttle time
        answer.Error(transactional ? KafkaError.InvalidRequest : KafkaError.None);
        answer.Int64(transactional ? -1 : NewProducerId());
        answer.Int16((short)(transactional ? -1 : 0));
    }

    /// <summary>FindCoordinator, versions 0 and 1: this broker, as there is no other. It keeps no groups; readers keep their own offsets.</summary>
    public static void FindCoordinator(ref RequestReader request, short version, int port, ResponseWriter answer)
    {
        _ = request.String();
        if (version >= 1) _ = request.Byte();
        if (version >= 1) answer.Int32(0); // throttle time
        answer.Error(KafkaError.None);
        if (version >= 1) answer.String(null);
        answer.Int32(BrokerId);
        answer.String(Host);
        answer.Int32(port);
    }

    private static long NewProducerId()
    {
        Span<byte> bytes = stackalloc byte[8];
        RandomNumberGenerator.Fill(bytes);
        return BitConverter.ToInt64(bytes) & (long.MaxValue >> 1);
    }
}

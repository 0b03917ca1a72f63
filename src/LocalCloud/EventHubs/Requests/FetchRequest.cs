using System.Diagnostics;
using ShardCloud.LocalCloud.EventHubs.Log;
using ShardCloud.LocalCloud.EventHubs.Protocol;

namespace ShardCloud.LocalCloud.EventHubs.Requests;

/// <summary>Fetch, version 4: waits until there are enough bytes, a partition is in error, or the time is up; then reads from the files.</summary>
/// <remarks>
/// While it waits it holds no buffer, only the parsed request. An answer fits an array of 1 MiB, unless its one batch is larger: a client that
/// is behind asks again at once, and no burst of late readers takes more than that for each.
/// Past the throughput units it waits for what went out before, and says so (throttle time); where that lasts too long the answer has no records.
/// </remarks>
internal sealed class FetchRequest
{
    private const int AnswerBytesMax = 1024 * 1024 - 16 * 1024;
    private static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(60);

    private readonly List<(string Name, List<Wanted> Partitions)> _topics = [];
    private readonly TimeSpan _wait;
    private readonly int _bytesMin, _bytesMax;

    public FetchRequest(ref RequestReader request, HubCatalog hubs)
    {
        _ = request.Int32(); // replica id
        _wait = TimeSpan.FromMilliseconds(Math.Clamp(request.Int32(), 0, LongestWait.TotalMilliseconds));
        _bytesMin = request.Int32();
        _bytesMax = Math.Clamp(request.Int32(), 0, AnswerBytesMax);
        _bytesMin = Math.Min(_bytesMin, _bytesMax);
        _ = request.Byte(); // isolation level: there are no transactions
        var topics = request.Count();
        for (var topic = 0; topic < topics; topic++)
        {
            var name = request.String();
            var partitions = new List<Wanted>();
            _topics.Add((name, partitions));
            var count = request.Count();
            for (var index = 0; index < count; index++)
            {
                var partition = request.Int32();
                partitions.Add(new Wanted(partition, hubs.Find(name, partition), request.Int64(), request.Int32()));
            }
        }
    }

    public async ValueTask HandleAsync(ResponseWriter answer, ThroughputMeter? meter, TimeProvider time, CancellationToken stopping)
    {
        if (!IsDue() && _wait > TimeSpan.Zero) await WaitAsync(stopping);
        var delay = meter?.DelayOut() ?? TimeSpan.Zero;
        var tooLong = delay > ThroughputMeter.DelayMax;
        if (tooLong) delay = ThroughputMeter.DelayMax;
        if (delay > TimeSpan.Zero) await Task.Delay(delay, time, stopping);
        var (bytes, records) = Write(answer, delay, tooLong ? null : _bytesMax);
        meter?.TakeOut(bytes, records);
    }

    private bool IsDue()
    {
        long bytes = 0;
        foreach (var (_, partitions) in _topics)
        {
            foreach (var wanted in partitions)
            {
                var there = wanted.Log?.BytesFrom(wanted.Offset) ?? -1;
                if (there < 0) return true; // an error is answered at once
                bytes += there;
            }
        }

        return bytes >= _bytesMin;
    }

    private async Task WaitAsync(CancellationToken stopping)
    {
        var begun = Stopwatch.GetTimestamp();
        using var signal = new FetchSignal();
        foreach (var (_, partitions) in _topics)
            foreach (var wanted in partitions) wanted.Log?.Watch(signal);
        try
        {
            // Looked at again after the watch began: an append in between would otherwise be slept through.
            while (!IsDue())
            {
                var left = _wait - Stopwatch.GetElapsedTime(begun);
                if (left <= TimeSpan.Zero || !await signal.WaitAsync(left, stopping)) return;
            }
        }
        finally
        {
            foreach (var (_, partitions) in _topics)
                foreach (var wanted in partitions) wanted.Log?.Unwatch(signal);
        }
    }

    /// <param name="answer">Receives it.</param>
    /// <param name="throttled">How long it was held back.</param>
    /// <param name="bytesMax">Room for records; null: none are read.</param>
    private (long Bytes, long Records) Write(ResponseWriter answer, TimeSpan throttled, int? bytesMax)
    {
        answer.Int32((int)throttled.TotalMilliseconds); // throttle time
        answer.Int32(_topics.Count);
        var left = bytesMax ?? 0;
        var (first, bytes, records) = (bytesMax is not null, 0L, 0L);
        foreach (var (name, partitions) in _topics)
        {
            answer.String(name);
            answer.Int32(partitions.Count);
            foreach (var wanted in partitions)
            {
                answer.Int32(wanted.Partition);
                var errorAt = answer.Length;
                answer.Error(KafkaError.None);
                var end = wanted.Log?.Bounds.End ?? -1;
                answer.Int64(end); // high watermark
                answer.Int64(end); // last stable offset
                answer.Int32(-1); // aborted transactions
                var size = answer.Mark();
                var found = 0;
                var error = wanted.Log?.Read(wanted.Offset, Math.Min(left, wanted.BytesMax), first, answer, out found) ?? KafkaError.UnknownTopicOrPartition;
                var count = answer.Length - size - 4;
                answer.Patch(size, count);
                answer.PatchError(errorAt, error);
                left -= count;
                first &= count == 0;
                (bytes, records) = (bytes + count, records + found);
            }
        }

        return (bytes, records);
    }

    private readonly record struct Wanted(int Partition, PartitionLog? Log, long Offset, int BytesMax);
}

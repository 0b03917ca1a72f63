using ShardCloud.LocalCloud.EventHubs.Protocol;

namespace ShardCloud.LocalCloud.EventHubs.Log;

/// <summary>What a partition remembers of its idempotent producers, so that a repeated batch is stored once and a lost one is noticed.</summary>
/// <remarks>
/// Rebuilt from the log at start, by the same calls in the same order: it needs no file of its own. Not thread-safe; the partition's lock guards it.
/// Bounded: past 10,000 producers the tenth that wrote longest ago is forgotten. A forgotten producer is taken at its word when it returns.
/// </remarks>
internal sealed class ProducerTable
{
    private const int ProducersMax = 10_000, BatchesKept = 5; // a client has at most 5 batches in flight

    private readonly Dictionary<long, Producer> _producers = [];
    private bool _someForgotten;

    /// <summary>Judges a batch before it is stored.</summary>
    /// <param name="header">Its header.</param>
    /// <param name="logStart">First offset kept: above 0, retention may have taken what this table was rebuilt from.</param>
    /// <param name="original">Offset at which the same batch was stored before, or −1.</param>
    public KafkaError Check(in BatchHeader header, long logStart, out long original)
    {
        original = -1;
        if (header.ProducerId < 0) return KafkaError.None;
        if (header.BaseSequence < 0 || header.ProducerEpoch < 0) return KafkaError.InvalidRecord;
        if (!_producers.TryGetValue(header.ProducerId, out var known))
            return header.BaseSequence == 0 || _someForgotten || logStart > 0 ? KafkaError.None : KafkaError.OutOfOrderSequenceNumber;

        if (header.ProducerEpoch < known.Epoch) return KafkaError.InvalidProducerEpoch;
        if (header.ProducerEpoch > known.Epoch) return header.BaseSequence == 0 ? KafkaError.None : KafkaError.OutOfOrderSequenceNumber;
        foreach (var (first, last, offset) in known.Batches)
        {
            if (first != header.BaseSequence || last != header.LastSequence) continue;
            original = offset;
            return KafkaError.None;
        }

        return header.BaseSequence == (int)((known.LastSequence + 1L) & int.MaxValue) ? KafkaError.None : KafkaError.OutOfOrderSequenceNumber;
    }

    /// <summary>Remembers a stored batch.</summary>
    public void Stored(in BatchHeader header, long offset)
    {
        if (header.ProducerId < 0) return;
        if (!_producers.TryGetValue(header.ProducerId, out var producer) || producer.Epoch != header.ProducerEpoch)
        {
            if (producer is null && _producers.Count >= ProducersMax) ForgetSome();
            _producers[header.ProducerId] = producer = new Producer(header.ProducerEpoch);
        }

        if (producer.Batches.Count == BatchesKept) producer.Batches.Dequeue();
        producer.Batches.Enqueue((header.BaseSequence, header.LastSequence, offset));
        (producer.LastSequence, producer.LastOffset) = (header.LastSequence, offset);
    }

    private void ForgetSome()
    {
        foreach (var (id, _) in _producers.OrderBy(pair => pair.Value.LastOffset).Take(ProducersMax / 10).ToList()) _producers.Remove(id);
        _someForgotten = true;
    }

    private sealed class Producer(short epoch)
    {
        public short Epoch { get; } = epoch;

        public int LastSequence { get; set; }

        public long LastOffset { get; set; }

        public Queue<(int First, int Last, long Offset)> Batches { get; } = new(BatchesKept);
    }
}

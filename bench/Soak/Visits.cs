using Confluent.Kafka;

namespace ShardCloud.Bench.Soak;

/// <summary>A client that comes, finds an offset by time, reads a little from the middle of the log and leaves: what connections leave behind would add up.</summary>
internal sealed class Visits(Broker broker, int partitions)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10), Back = TimeSpan.FromSeconds(3), BatchSpan = TimeSpan.FromSeconds(1);

    private Task _visit = Task.CompletedTask;

    public int Made { get; private set; }

    /// <summary>Visits that were not served, as happens while the broker is away.</summary>
    public int Failed { get; private set; }

    /// <summary>Begins one, unless the last is still there.</summary>
    public bool TryBegin()
    {
        if (!_visit.IsCompleted) return false;
        _visit = Task.Run(Visit);
        return true;
    }

    public Task EndAsync() => _visit;

    private void Visit()
    {
        var partition = Made++ % partitions;
        try
        {
            using var consumer = ConfluentReader.Open(broker);
            var then = new Timestamp(DateTime.UtcNow - Back);
            var found = consumer.OffsetsForTimes([new TopicPartitionTimestamp(Settings.Hub, partition, then)], Patience)[0];
            consumer.Assign(found);
            // A batch that is compressed is found as a whole: its first record may be a little earlier.
            if (consumer.Consume(Patience) is not { } read) Fail($"no record from {found} on");
            else if (read.Message.Timestamp.UtcDateTime < then.UtcDateTime - BatchSpan) Fail($"{found.Offset} is of {read.Message.Timestamp.UtcDateTime:O}, asked for was {then.UtcDateTime:O}");
        }
        catch (KafkaException error)
        {
            Fail(error.Message);
        }

        void Fail(string why)
        {
            Failed++;
            Console.WriteLine($"visit {Made}, partition {partition}: {why}");
        }
    }
}

using System.Threading.Channels;

namespace ShardCloud.ShardRuntime.Calls;

/// <summary>Endpoints whose outbox got something: said at the commit, so that an idle system sends at once. Only a hint: what is lost here, or past the bound, the next look at the documents finds.</summary>
internal sealed class OutboxWakeUps
{
    private const int WaitingMax = 10_000;

    private readonly Channel<EndpointId> _posted = Channel.CreateBounded<EndpointId>(new BoundedChannelOptions(WaitingMax) { FullMode = BoundedChannelFullMode.Wait, SingleReader = true });
    private int _missed;

    public ChannelReader<EndpointId> Posted => _posted.Reader;

    /// <summary>An endpoint committed a message. Never waits.</summary>
    public void Signal(EndpointId endpoint)
    {
        if (!_posted.Writer.TryWrite(endpoint)) Volatile.Write(ref _missed, 1);
    }

    /// <summary>True once after a signal that did not fit.</summary>
    public bool HasMissed() => Interlocked.Exchange(ref _missed, 0) == 1;
}

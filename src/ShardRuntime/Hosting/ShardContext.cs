using ShardCloud.Routing;

namespace ShardCloud.ShardRuntime.Hosting;

/// <summary>Who this process is. One per process; everything else hangs from the service container.</summary>
public sealed class ShardContext
{
    private readonly TaskCompletionSource _listening = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile bool _isJoined;

    /// <summary>A new incarnation.</summary>
    public ShardContext(ShardRuntimeOptions options)
    {
        Options = options;
        Self = IncarnationId.New(new ShardId(options.Shard));
    }

    /// <summary>The settings.</summary>
    public ShardRuntimeOptions Options { get; }

    /// <summary>This start of the process; names leases, grants and request ids.</summary>
    public IncarnationId Self { get; }

    /// <summary>Shard or router.</summary>
    public MemberRole Role => Options.Role;

    /// <summary>Base address other members use, with the real port. Empty until <see cref="WhenListening"/>.</summary>
    public string MemberAddress { get; private set; } = "";

    /// <summary>Base address clients use, with the real port. Empty until <see cref="WhenListening"/>.</summary>
    public string PublicAddress { get; private set; } = "";

    /// <summary>Completes when both listeners are bound.</summary>
    public Task WhenListening => _listening.Task;

    /// <summary>True once the map names this member as live (a router: once its member row is written). The membership room sets it; <c>/readyz</c> asks for it.</summary>
    public bool IsJoined { get => _isJoined; set => _isJoined = value; }

    internal void Listening(string memberAddress, string publicAddress)
    {
        (MemberAddress, PublicAddress) = (memberAddress, publicAddress);
        _listening.TrySetResult();
    }
}

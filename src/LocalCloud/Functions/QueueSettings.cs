namespace ShardCloud.LocalCloud.Functions;

/// <summary>The section <c>extensions.queues</c> of host.json. Source: learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue#hostjson-settings.</summary>
internal sealed record QueueSettings
{
    /// <summary>Messages taken at once, 1 to 32.</summary>
    public int BatchSize { get; init; } = 16;

    /// <summary>The next are taken when this many or fewer run: so many and a batch run at most, for each function. Default: half a batch.</summary>
    public int? NewBatchThreshold { get; init; }

    /// <summary>Attempts, the first included, before a message goes to <c>NAME-poison</c>.</summary>
    public int MaxDequeueCount { get; init; } = 5;

    /// <summary>Longest pause while a queue is empty. Default 2 s, as of the real host in development (a minute in Azure).</summary>
    public TimeSpan MaxPollingInterval { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Time between a failure and the next attempt.</summary>
    public TimeSpan VisibilityTimeout { get; init; }

    /// <summary>Whether messages are base64; one that is not goes to the poison queue.</summary>
    public bool IsBase64 { get; init; } = true;

    public int Threshold => NewBatchThreshold ?? BatchSize / 2;
}

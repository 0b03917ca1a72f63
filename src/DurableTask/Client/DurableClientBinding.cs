using System.Collections.Concurrent;
using System.Text.Json.Serialization;
using Grpc.Net.Client;

namespace ShardCloud.DurableTask.Client;

/// <summary>What a durableClient input binding says about the task hub.</summary>
public sealed record DurableClientBinding(
    [property: JsonPropertyName("taskHubName")] string? TaskHubName,
    [property: JsonPropertyName("connectionName")] string? ConnectionName,
    [property: JsonPropertyName("rpcBaseUrl")] string? RpcBaseUrl);

/// <summary>Clients by address. The address comes with each envelope; a call without one uses the last that was seen, then the
/// setting <see cref="OverrideVariable"/>, then the host's first choice of port.</summary>
/// <param name="json">How payloads are written.</param>
/// <param name="version">Version that instances are started under.</param>
public sealed class DurableClients(System.Text.Json.JsonSerializerOptions? json = null, string? version = null)
{
    /// <summary>Environment variable with an address for calls that carry no binding.</summary>
    public const string OverrideVariable = "DURABLE_RPC_BASE_URL";

    private const string FirstChoiceOfHost = "http://localhost:4001";

    /// <summary>A host keeps its address while it lives, and its end is ours: more than a few addresses are a mistake of the caller.</summary>
    private const int ChannelsMax = 16;

    private readonly ConcurrentDictionary<DurableClientBinding, DurableTaskClient> _clients = new();
    private volatile DurableClientBinding? _lastSeen;

    /// <summary>The client for a binding; null stands for a call without one.</summary>
    public DurableTaskClient Get(DurableClientBinding? binding)
    {
        if (binding?.RpcBaseUrl is { Length: > 0 }) _lastSeen = binding;
        else binding = _lastSeen ?? new DurableClientBinding(null, null, Environment.GetEnvironmentVariable(OverrideVariable) ?? FirstChoiceOfHost);

        if (!_clients.ContainsKey(binding) && _clients.Count >= ChannelsMax)
            throw new InvalidOperationException($"More than {ChannelsMax} task hub addresses were used by one process; the last is {binding.RpcBaseUrl}.");
        return _clients.GetOrAdd(binding, b => Connect(b, json, version));
    }

    /// <summary>A client for an address outside any binding.</summary>
    public static DurableTaskClient Connect(DurableClientBinding binding, System.Text.Json.JsonSerializerOptions? json = null, string? version = null)
    {
        // Outputs can be large: the default limit of 4 MB is too small.
        var channel = GrpcChannel.ForAddress(binding.RpcBaseUrl!, new GrpcChannelOptions { MaxReceiveMessageSize = null, MaxSendMessageSize = null });
        return new GrpcDurableTaskClient(channel.CreateCallInvoker(), binding.TaskHubName, binding.ConnectionName, json, version);
    }
}

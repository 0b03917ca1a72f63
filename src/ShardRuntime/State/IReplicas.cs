using ShardCloud.Crdt;

namespace ShardCloud.ShardRuntime.State;

/// <summary>What this member has of endpoints, whoever owns them.</summary>
public interface IReplicas
{
    /// <summary>The accepted document of an endpoint, as soon as it has seen all of a context. Not for answers: the owner may be further.</summary>
    /// <param name="endpoint">Which.</param>
    /// <param name="least">What it is to have seen.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>Null: there is no complete replica of it here.</returns>
    /// <exception cref="OperationCanceledException">It had not seen that much.</exception>
    Task<Document?> SeenAsync(EndpointId endpoint, CausalContext least, CancellationToken cancellationToken);
}

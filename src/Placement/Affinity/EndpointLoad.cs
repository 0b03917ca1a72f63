namespace ShardCloud.Placement.Affinity;

/// <summary>What an endpoint, a slot or a shard costs its owner. All finite and at least 0; rates are decayed averages over the half-life of the observation.</summary>
/// <param name="Requests">Requests a second.</param>
/// <param name="Cpu">Processor cores in use by its handlers: 0.5 is half a core.</param>
/// <param name="Bytes">Bytes a second in and out.</param>
/// <param name="Connections">Open sockets and streams.</param>
/// <param name="StateBytes">Size of its state, in bytes.</param>
public readonly record struct EndpointLoad(double Requests, double Cpu, double Bytes, double Connections, double StateBytes)
{
    /// <summary>Nothing.</summary>
    public static readonly EndpointLoad None;

    /// <summary>Both together.</summary>
    public static EndpointLoad operator +(EndpointLoad left, EndpointLoad right) => new(
        left.Requests + right.Requests, left.Cpu + right.Cpu, left.Bytes + right.Bytes, left.Connections + right.Connections, left.StateBytes + right.StateBytes);
}

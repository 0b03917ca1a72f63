using ShardCloud.Routing;

namespace ShardCloud.ShardRuntime.Proxy;

/// <summary>The routing map as this process follows it.</summary>
public interface IMapView
{
    /// <summary>The newest snapshot; take it once for each decision.</summary>
    RoutingMap Current { get; }

    /// <summary>Completes when the first snapshot is there; until then <see cref="Current"/> knows nobody.</summary>
    Task Loaded => Task.CompletedTask;

    /// <summary>A newer version was heard of.</summary>
    void Poke(MapVersion version);
}

/// <summary>This member's lease.</summary>
public interface ILeaseView
{
    /// <summary>True while this member may serve and answer. Cheap; any thread.</summary>
    bool IsValid { get; }
}

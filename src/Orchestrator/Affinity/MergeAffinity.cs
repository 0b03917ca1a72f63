using ShardCloud.DurableTask;

namespace ShardCloud.Orchestrator.Affinity;

/// <summary>What a merge came to. <c>Version</c>: of the map that is stored; 0: none is, for nothing was ever observed. <c>LeftOut</c>: members that did not answer, of at most 20 the names.</summary>
public sealed record MergedAffinity(long Version, int Vertices, int Edges, IReadOnlyList<string> LeftOut);

/// <summary>Brings the affinity map up to date, for an orchestration that goes by it: <see cref="AffinityStore.ReadAsync(long, CancellationToken)"/> reads the version that it names.</summary>
public sealed class MergeAffinity(AffinityStore store) : TaskActivity<string, MergedAffinity>
{
    private const int NamedMax = 20;

    /// <inheritdoc/>
    public override async Task<MergedAffinity> RunAsync(TaskActivityContext context, string input)
    {
        var (map, leftOut, version) = await store.MergeAsync(context.CancellationToken);
        return new MergedAffinity(version, map.Vertices.Count, map.Edges.Count, [.. leftOut.Take(NamedMax).Select(left => left.Member)]);
    }
}

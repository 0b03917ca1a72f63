using System.Runtime.CompilerServices;

namespace ShardCloud.Placement.Rebalancing;

/// <summary>Endpoints that are used together, wherever they are today: what is gathered at one shard as one.</summary>
/// <remarks>
/// Each entry joins the neighbours' cluster with which modularity grows most (Blondel et al., "Fast unfolding of communities in large networks", J. Stat. Mech. 2008, first phase): an edge
/// counts by how much it is above what the popularity of its ends alone would make likely, so that a hub that everybody uses joins nothing together. A cluster stays small enough for a shard
/// to take it. What may not move is a cluster of its own, and so is what must be apart from others.
/// </remarks>
internal static class PlacementClusters
{
    // Of a shard's share: a larger cluster would leave no room to pack others beside it.
    private const double LoadMax = 0.8;

    private const int PassesMax = 6;

    /// <summary>For each entry the number of its cluster; clusters are numbered from 0 in the order of their first entries.</summary>
    public static int[] Of(PlacementModel model)
    {
        var n = model.Entries;
        var (cluster, degree, load) = (new int[n], (double[])model.Incident.Clone(), (double[])model.Load.Clone());
        for (var i = 0; i < n; i++) cluster[i] = i;
        var (tie, touched, group) = (new double[n], new List<int>(), new int[n]);
        for (var i = 0; i < n; i++) group[i] = IsGathered(model, i) ? model.Group[model.Owner[i]] : -1;
        var (first, ends, weights) = (model.First, model.Ends, model.Weights);
        var order = ByDegree(model);
        for (var pass = 0; pass < PassesMax; pass++)
        {
            var changed = 0;
            foreach (var entry in order)
                if (Join(entry)) changed++;
            if (changed <= n / 1000) break;
        }
        return Number(cluster);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        bool Join(int entry)
        {
            var (mine, clusterOf, ties) = (group[entry], cluster, tie);
            touched.Clear();
            for (var at = first[entry]; at < first[entry + 1]; at++)
            {
                if (group[ends[at]] != mine) continue;
                var with = clusterOf[ends[at]];
                if (ties[with] == 0) touched.Add(with);
                ties[with] += weights[at];
            }
            var own = cluster[entry];
            degree[own] -= model.Incident[entry];
            load[own] -= model.Load[entry];
            var (popularity, most) = (model.Incident[entry] / (2 * model.TotalWeight), LoadMax * model.Share[model.Owner[entry]]);
            var (best, bestGain) = (own, tie[own] - (popularity * degree[own]));
            foreach (var other in touched)
            {
                var gain = tie[other] - (popularity * degree[other]);
                if (gain > bestGain + (1e-9 * model.Incident[entry]) && load[other] + model.Load[entry] <= most) (best, bestGain) = (other, gain);
            }
            foreach (var other in touched) tie[other] = 0;
            cluster[entry] = best;
            degree[best] += model.Incident[entry];
            load[best] += model.Load[entry];
            return best != own;
        }
    }

    private static bool IsGathered(PlacementModel model, int entry) => model.IsMovable[entry] && !model.ApartOf.ContainsKey(entry);

    // Those with few edges first: they have the least choice.
    private static int[] ByDegree(PlacementModel model)
    {
        int[] order = [.. Enumerable.Range(0, model.Entries).Where(entry => IsGathered(model, entry) && model.First[entry + 1] > model.First[entry])];
        var degrees = new int[order.Length];
        for (var i = 0; i < order.Length; i++) degrees[i] = model.First[order[i] + 1] - model.First[order[i]];
        var places = new long[order.Length];
        for (var i = 0; i < order.Length; i++) places[i] = ((long)degrees[i] << 32) | (uint)order[i];
        Array.Sort(places);
        for (var i = 0; i < order.Length; i++) order[i] = (int)(uint)places[i];
        return order;
    }

    private static int[] Number(int[] cluster)
    {
        var (numbers, of, count) = (new int[cluster.Length], new int[cluster.Length], 0);
        Array.Fill(numbers, -1);
        for (var i = 0; i < cluster.Length; i++)
        {
            if (numbers[cluster[i]] < 0) numbers[cluster[i]] = count++;
            of[i] = numbers[cluster[i]];
        }
        return of;
    }
}

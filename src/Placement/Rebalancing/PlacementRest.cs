using System.Buffers;
using System.Text.Json;

namespace ShardCloud.Placement.Rebalancing;

/// <summary>That a placement has come to rest: nothing more was to be gained by moving for traffic, or next to nothing, or there was no room for it.</summary>
/// <param name="Left">What was still to be gained then, or least since: share of the weight of all edges, 0 to 1; see <see cref="PlacementPlan.Left"/>.</param>
/// <param name="Among">Among which shards and by which policy, as <see cref="FingerprintOf"/> gives it. With others it does not rest.</param>
/// <remarks>
/// A placement at rest stays so until <see cref="PlacementPolicy.RestBelow"/> more than <c>Left</c> is to be gained, or moves that can be made gain <see cref="WakesAt"/> times as much, be it in one round or, where the budget is small, in several. Otherwise moves that wait for room would
/// be made whenever loads that only waver leave a little of it: hundreds in a round, in a graph without clusters.
/// </remarks>
public sealed record PlacementRest(double Left, string Among)
{
    /// <summary>Where a round without a budget gains this multiple of <see cref="PlacementPolicy.RestBelow"/>, the rest ends, whatever was left before.</summary>
    public const double WakesAt = 4;

    /// <summary>What a rest depends on: 16 hexadecimal digits of all shards and of the policy's numbers. Pins and groups are not among them: what they ask for moves at rest too.</summary>
    public static string FingerprintOf(PlacementInputs inputs)
    {
        var bytes = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(bytes))
        {
            json.WriteStartObject();
            PlacementPlanFile.WriteNumbersOf(json, inputs.Policy);
            PlacementPlanFile.WriteShards(json, inputs.Shards);
            json.WriteEndObject();
        }
        return PlanFile.HashOf(bytes.WrittenSpan)[..16];
    }
}

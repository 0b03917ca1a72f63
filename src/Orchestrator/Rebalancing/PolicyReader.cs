using System.Text.Json;
using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Management;
using ShardCloud.Placement.Rebalancing;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Rebalancing;

/// <summary>Reads a policy as strictly as every management call is read: what is absent is the default. Pure.</summary>
public static class PolicyReader
{
    /// <summary>Pins, and endpoints in all groups together.</summary>
    public const int NamedMax = 5_000;

    /// <summary>The members of a policy.</summary>
    public static readonly string[] Members = ["everyMinutes", "imbalance", "moveBudget", "coolDownSeconds", "gainMin", "restBelow", "moveCost", "placedMax", "fadedBelow", "readersMax", "pins", "apart"];

    /// <summary>The whole policy, with names normalised.</summary>
    /// <exception cref="ShardCloudException">SC5020, SC5008, SC1001, SC1002, SC5004.</exception>
    public static RebalancePolicy Read(StrictBody body)
    {
        var usual = new RebalancePolicy();
        var policy = new RebalancePolicy(
            body.OptionalInt32("everyMinutes", 0, 10_080, usual.EveryMinutes), body.OptionalNumber("imbalance", 0.001, 1) ?? usual.Imbalance, body.OptionalNumber("moveBudget", 0.0001, 1) ?? usual.MoveBudget,
            body.OptionalInt32("coolDownSeconds", 0, 86_400, usual.CoolDownSeconds), body.OptionalNumber("gainMin", 0, 1) ?? usual.GainMin, body.OptionalNumber("restBelow", 0, 1) ?? usual.RestBelow, body.OptionalNumber("moveCost", 0, 1e6) ?? usual.MoveCost,
            body.OptionalInt32("placedMax", 0, 1_000_000, usual.PlacedMax), body.OptionalNumber("fadedBelow", 0, 1e6) ?? usual.FadedBelow, body.OptionalInt32("readersMax", 1, 1_024, usual.ReadersMax), PinsOf(body.Optional("pins")), ApartOf(body.Optional("apart")));
        var count = (policy.Pins?.Count ?? 0) + (policy.Apart?.Sum(group => group.Count) ?? 0);
        if (count > NamedMax) throw new ShardCloudException(ErrorCodes.OverLimit, $"The policy names {count} endpoints; {NamedMax} are allowed.", "Name only those that must be somewhere.");
        PlacementCheck.CheckPinsApart(ToPlan(policy));
        return policy;
    }

    /// <summary>As the planner takes it.</summary>
    /// <param name="policy">What was set.</param>
    /// <param name="budgetMin">The least move budget.</param>
    public static PlacementPolicy ToPlan(RebalancePolicy policy, double budgetMin = 0) => new()
    {
        Imbalance = policy.Imbalance,
        MoveBudget = Math.Min(1, Math.Max(policy.MoveBudget, budgetMin)),
        CoolDown = TimeSpan.FromSeconds(policy.CoolDownSeconds),
        GainMin = policy.GainMin,
        RestBelow = policy.RestBelow,
        MoveCost = policy.MoveCost,
        ReadersMax = policy.ReadersMax,
        Pins = (policy.Pins ?? new Dictionary<string, string>()).ToDictionary(pin => new EndpointId(pin.Key), pin => new ShardId(pin.Value)),
        Apart = [.. (policy.Apart ?? []).Select(group => (IReadOnlyList<EndpointId>)[.. group.Select(endpoint => new EndpointId(endpoint))])],
    };

    private static Dictionary<string, string>? PinsOf(JsonElement? json)
    {
        if (json is not { ValueKind: not JsonValueKind.Null } value) return null;
        if (value.ValueKind != JsonValueKind.Object) throw Bad("pins", "an object: endpoint to shard");
        var pins = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var pin in value.EnumerateObject())
        {
            if (pin.Value.ValueKind != JsonValueKind.String) throw Bad($"pins.{pin.Name}", "the name of a shard");
            if (!pins.TryAdd(EndpointKey.Normalise(pin.Name).Value, new ShardId(pin.Value.GetString()!).Value)) throw Twice(pin.Name);
        }
        return pins.Count > 0 ? pins : null;
    }

    private static IReadOnlyList<IReadOnlyList<string>>? ApartOf(JsonElement? json)
    {
        if (json is not { ValueKind: not JsonValueKind.Null } value) return null;
        if (value.ValueKind != JsonValueKind.Array) throw Bad("apart", "a list of lists of endpoints");
        List<IReadOnlyList<string>> groups = [];
        foreach (var item in value.EnumerateArray())
        {
            if (item.ValueKind != JsonValueKind.Array || item.GetArrayLength() < 2 || item.EnumerateArray().Any(name => name.ValueKind != JsonValueKind.String)) throw Bad("apart", "a list of lists of at least two endpoints");
            List<string> group = [.. item.EnumerateArray().Select(name => EndpointKey.Normalise(name.GetString()!).Value)];
            if (group.GroupBy(name => name, StringComparer.Ordinal).FirstOrDefault(same => same.Count() > 1) is { } twice) throw Twice(twice.Key);
            groups.Add(group);
        }
        return groups.Count > 0 ? groups : null;
    }

    private static ShardCloudException Bad(string path, string wanted) => new(ErrorCodes.BadValue, $"'{path}' does not fit: it must be {wanted}.", $"Send {wanted}.");

    private static ShardCloudException Twice(string endpoint) => new(ErrorCodes.DuplicateEndpoint, $"'{endpoint}' is named twice.", "Name every endpoint once.");
}

using System.Text.Json;
using ShardCloud.Contracts;

namespace ShardCloud.Orchestrator.Updates;

/// <summary>Reads a strategy as strictly as every management call is read: what is absent is the default, what is unknown, out of range or contradictory is refused. Pure.</summary>
public static class StrategyReader
{
    /// <summary>Waves of one update at most.</summary>
    public const int WavesMax = 10;

    /// <summary>The whole strategy.</summary>
    /// <param name="json">What was sent; null: the default.</param>
    /// <exception cref="ShardCloudException">SC5002, SC5020 or SC5052.</exception>
    public static UpdateStrategy Read(JsonElement? json)
    {
        var usual = UpdateStrategy.Default;
        var whole = Part.Of(json, "strategy", "waves", "stableSeconds", "retrySeconds", "parallel", "approveBefore", "verify", "gate", "busy");
        var verify = whole.Child("verify", "probes", "shadowShare", "shadowCompared", "shadowDifferentMax", "seconds");
        var gate = whole.Child("gate", "errorRateMax", "latencyRatioMax", "latencyFloorMs", "parkedMax");
        var busy = whole.Child("busy", "mode", "idleSeconds", "deadlineSeconds");
        var share = verify.Number("shadowShare", 0, 1, usual.Verify.ShadowShare);
        var strategy = new UpdateStrategy(
            whole.Numbers("waves", 1, 100, WavesMax) ?? usual.Waves, whole.Number("stableSeconds", 1, 86_400, usual.StableSeconds), whole.Number("retrySeconds", 0, 3_600, usual.RetrySeconds),
            whole.Number("parallel", 1, 32, usual.Parallel), whole.Numbers("approveBefore", 1, WavesMax, WavesMax) ?? usual.ApproveBefore,
            new UpdateVerifyStrategy(
                verify.Flag("probes", usual.Verify.Probes), share, verify.Number("shadowCompared", 0, 1_000_000, share > 0 ? usual.Verify.ShadowCompared : 0),
                verify.Number("shadowDifferentMax", 0, 1_000_000, usual.Verify.ShadowDifferentMax), verify.Number("seconds", 1, 3_600, usual.Verify.Seconds)),
            new UpdateGateStrategy(
                gate.Number("errorRateMax", 0, 1, usual.Gate.ErrorRateMax), gate.Number("latencyRatioMax", 1, 100, usual.Gate.LatencyRatioMax),
                gate.Number("latencyFloorMs", 0, 60_000, usual.Gate.LatencyFloorMs), gate.Number("parkedMax", 0, 1_000_000, usual.Gate.ParkedMax)),
            new UpdateBusyStrategy(
                busy.Choice("mode", UpdateBusyMode.Move, ("move", UpdateBusyMode.Move), ("defer", UpdateBusyMode.Defer)),
                busy.Number("idleSeconds", 1, 3_600, usual.Busy.IdleSeconds), busy.Number("deadlineSeconds", 1, 86_400, usual.Busy.DeadlineSeconds)));
        Check(strategy);
        return strategy;
    }

    private static void Check(UpdateStrategy strategy)
    {
        if (strategy.Waves.Count == 0 || strategy.Waves[^1] != 100)
            throw Contradictory($"'waves' ends at {(strategy.Waves.Count == 0 ? 0 : strategy.Waves[^1])} %: an update moves everything.", "Let the last wave be 100.");
        for (var i = 1; i < strategy.Waves.Count; i++)
            if (strategy.Waves[i] <= strategy.Waves[i - 1]) throw Contradictory($"'waves' does not rise from {strategy.Waves[i - 1]} to {strategy.Waves[i]}.", "Name each percentage once, in order.");
        if (strategy.ApproveBefore.FirstOrDefault(wave => wave > strategy.Waves.Count) is > 0 and var none)
            throw Contradictory($"'approveBefore' names wave {none}; there are {strategy.Waves.Count}.", "Waves are counted from 1.");
        if (strategy.ApproveBefore.Distinct().Count() < strategy.ApproveBefore.Count) throw Contradictory("'approveBefore' names a wave twice.", "Name each once.");
        if (strategy.Verify is { ShadowShare: 0, ShadowCompared: > 0 })
            throw Contradictory($"'verify.shadowCompared' waits for {strategy.Verify.ShadowCompared} comparisons, and 'verify.shadowShare' is 0: there would be none.", "Raise the share, or wait for 0.");
        if (strategy.Verify.ShadowCompared > 0 && strategy.Verify.ShadowDifferentMax >= strategy.Verify.ShadowCompared)
            throw Contradictory($"'verify.shadowDifferentMax' ({strategy.Verify.ShadowDifferentMax}) is not below 'verify.shadowCompared' ({strategy.Verify.ShadowCompared}): every answer might differ.", "Allow fewer differences, or wait for more comparisons.");
        if (strategy.Busy.IdleSeconds > strategy.Busy.DeadlineSeconds)
            throw Contradictory($"'busy.idleSeconds' ({strategy.Busy.IdleSeconds}) is beyond 'busy.deadlineSeconds' ({strategy.Busy.DeadlineSeconds}).", "Let the deadline be the longer of the two.");
    }

    private static ShardCloudException Contradictory(string what, string remedy) => new(ErrorCodes.StrategyContradictory, what, remedy);

    /// <summary>One object of the strategy.</summary>
    private sealed record Part(string Path, IReadOnlyDictionary<string, JsonElement> Members)
    {
        public static Part Of(JsonElement? json, string path, params string[] known)
        {
            if (json is not { ValueKind: not JsonValueKind.Null } value) return new Part(path, new Dictionary<string, JsonElement>());
            if (value.ValueKind != JsonValueKind.Object) throw Bad(path, "an object");
            var members = value.EnumerateObject().ToDictionary(member => member.Name, member => member.Value, StringComparer.Ordinal);
            return members.Keys.FirstOrDefault(name => !known.Contains(name, StringComparer.Ordinal)) is { } unknown
                ? throw new ShardCloudException(ErrorCodes.UnknownMember, $"'{path}' has a member '{unknown}', which is not known.", $"Known members: {string.Join(", ", known)}. Names are case-sensitive.")
                : new Part(path, members);
        }

        public Part Child(string name, params string[] known) => Of(Members.TryGetValue(name, out var value) ? value : null, $"{Path}.{name}", known);

        public int Number(string name, int min, int max, int usual) => !Members.TryGetValue(name, out var value) ? usual
            : value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var number) && number >= min && number <= max ? number : throw Bad($"{Path}.{name}", $"a whole number from {min} to {max}");

        public double Number(string name, double min, double max, double usual) => !Members.TryGetValue(name, out var value) ? usual
            : value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) && number >= min && number <= max ? number : throw Bad($"{Path}.{name}", $"a number from {min} to {max}");

        public bool Flag(string name, bool usual) => !Members.TryGetValue(name, out var value) ? usual
            : value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : throw Bad($"{Path}.{name}", "true or false");

        public T Choice<T>(string name, T usual, params (string Text, T Value)[] choices)
        {
            if (!Members.TryGetValue(name, out var value)) return usual;
            var text = value.ValueKind == JsonValueKind.String ? value.GetString() : null;
            foreach (var choice in choices)
                if (choice.Text == text) return choice.Value;
            throw Bad($"{Path}.{name}", string.Join(" or ", choices.Select(choice => $"'{choice.Text}'")));
        }

        public IReadOnlyList<int>? Numbers(string name, int min, int max, int countMax)
        {
            if (!Members.TryGetValue(name, out var value)) return null;
            var wanted = $"a list of at most {countMax} whole numbers from {min} to {max}";
            if (value.ValueKind != JsonValueKind.Array || value.GetArrayLength() > countMax) throw Bad($"{Path}.{name}", wanted);
            return [.. value.EnumerateArray().Select(item => item.ValueKind == JsonValueKind.Number && item.TryGetInt32(out var number) && number >= min && number <= max ? number : throw Bad($"{Path}.{name}", wanted))];
        }

        private static ShardCloudException Bad(string path, string wanted) => new(ErrorCodes.BadValue, $"'{path}' does not fit: it must be {wanted}.", $"Send {wanted}.");
    }
}

namespace ShardCloud.ShardRuntime.Sidecar;

/// <summary><c>--endpoint TEMPLATE</c> or <c>--endpoint=TEMPLATE</c>, once for each template: a list, which the usual command line settings cannot hold.</summary>
internal static class EndpointArguments
{
    private const string Option = "--endpoint";

    /// <summary>The settings that the arguments stand for; empty where there are none, so that they do not hide the environment's.</summary>
    public static IEnumerable<KeyValuePair<string, string?>> Of(string[] arguments)
    {
        var count = 0;
        for (var at = 0; at < arguments.Length; at++)
        {
            if (arguments[at] == Option && at + 1 < arguments.Length) yield return Setting(arguments[++at]);
            else if (arguments[at].StartsWith(Option + "=", StringComparison.Ordinal)) yield return Setting(arguments[at][(Option.Length + 1)..]);
        }

        KeyValuePair<string, string?> Setting(string template) => new($"{ShardRuntimeOptions.SectionName}:App:{nameof(AppSettings.Endpoints)}:{count++}", template);
    }
}

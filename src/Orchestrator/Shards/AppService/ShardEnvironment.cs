namespace ShardCloud.Orchestrator.Shards.AppService;

/// <summary>What every shard is told, from the section <see cref="AppServiceSettings.EnvironmentSectionName"/>.</summary>
internal static class ShardEnvironment
{
    private static readonly string[] SecretNames = ["ConnectionString", "AccountKey", "AccessKey", "Password", "Secret"], SecretValues = ["AccountKey=", "SharedAccessKey=", "sig=", "Password="];

    /// <summary>Names and values of app settings.</summary>
    public static IReadOnlyDictionary<string, string> Read(IConfiguration configuration) => configuration.GetSection(AppServiceSettings.EnvironmentSectionName)
        .AsEnumerable(makePathsRelative: true).Where(pair => pair.Value is not null)
        .ToDictionary(pair => pair.Key.Replace(":", "__", StringComparison.Ordinal), pair => pair.Value!, StringComparer.Ordinal);

    /// <summary>What is wrong with it, in one line; null when nothing is. A reference to a key vault is no secret.</summary>
    public static string? Fault(IReadOnlyDictionary<string, string> environment)
    {
        var secret = environment.FirstOrDefault(pair => !pair.Value.StartsWith("@Microsoft.KeyVault(", StringComparison.OrdinalIgnoreCase)
            && (SecretNames.Any(name => pair.Key.EndsWith(name, StringComparison.OrdinalIgnoreCase)) || SecretValues.Any(part => pair.Value.Contains(part, StringComparison.OrdinalIgnoreCase))));
        return secret.Key is null ? null : $"{AppServiceSettings.EnvironmentSectionName} has '{secret.Key}', which looks like a secret: shards use their identity; leave it out, or refer to a key vault.";
    }
}

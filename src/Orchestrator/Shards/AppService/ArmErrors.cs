using System.Text.Json.Nodes;

namespace ShardCloud.Orchestrator.Shards.AppService;

/// <summary>What an answer of Azure means: a code of ours, Azure's own words, and a remedy.</summary>
/// <remarks>
/// App Service says some things with unexpected statuses, so its words count too: a lack of quota is 401 (github.com/Azure/azure-cli/issues/31665), two changes of one plan at once are 429 or 409
/// (github.com/pulumi/pulumi-azure-native/issues/4461). Its errors come as <c>{"error":{"code","message"}}</c> or <c>{"Code","Message"}</c>.
/// </remarks>
internal static class ArmErrors
{
    private const int WordsMax = 500;

    /// <summary>It did not do what was asked.</summary>
    public static ShardCloudException Of(string what, int status, JsonObject? body) => Of($"Azure answered {what} with {status}", WordsOf(body), status);

    /// <summary>It took the request (202), and gave up later.</summary>
    public static ShardCloudException GivenUp(string what, JsonObject? body) => Of($"Azure began {what} and gave it up", WordsOf(body), status: 400);

    private static ShardCloudException Of(string fact, (string Code, string Words) answer, int status)
    {
        var (code, words) = answer;
        var said = $"{fact}{(code.Length > 0 ? $" ({code})" : "")}{(words.Length > 0 ? $": {words}" : ".")}";
        if (Says("quota") || Says("limit of") || Says("maximum number"))
            return new ShardCloudException(ErrorCodes.HostFull, said, "Ask Azure for more quota in the region, or add a plan under ShardCloud:AppService:Plans.");
        return status switch
        {
            401 or 403 => new ShardCloudException(ErrorCodes.HostForbidden, said,
                "Give the Orchestrator's identity its roles on resource group, plans, subnet and the shards' identity: docs/operating/app-service.md. A new role takes some minutes to count."),
            409 when Says("already exists") || Says("already taken") || Says("not available") => new ShardCloudException(ErrorCodes.ForeignSite, said,
                "Choose a ShardCloud:AppService:NamePrefix that nobody else in the world has."),
            409 => new ShardCloudException(ErrorCodes.HostConflict, said, "Nothing: it is tried again by itself. If it stays, look for another deployment to the same plan, or a lock on the resource group."),
            429 => new ShardCloudException(ErrorCodes.HostThrottled, said, "Nothing: it is tried again by itself. If it stays, look for who else calls Azure Resource Manager in this subscription."),
            408 or >= 500 => new ShardCloudException(ErrorCodes.ShardHostFailed, said, "Nothing: it is tried again by itself. See Azure's status if it stays."),
            _ => new ShardCloudException(ErrorCodes.HostRefused, said, "Correct the setting under ShardCloud:AppService that it is about; see docs/operating/app-service.md."),
        };

        bool Says(string text) => words.Contains(text, StringComparison.OrdinalIgnoreCase);
    }

    public static ShardCloudException NoAnswer(string what, Exception error) => new(
        ErrorCodes.ShardHostFailed, $"Azure did not answer {what}: {error.Message}", "Nothing: it is tried again by itself. If it stays, look at the Orchestrator's way to management.azure.com.", error);

    public static ShardCloudException NoToken(Exception error) => new(
        ErrorCodes.HostForbidden, $"There is no token for Azure Resource Manager: {error.Message}", "Give the Orchestrator an identity, and name a user-assigned one in AZURE_CLIENT_ID.", error);

    public static ShardCloudException Unreadable(string what, string why) => new(
        ErrorCodes.ShardHostFailed, $"What Azure answered about {what} cannot be used: {why}.", "See Azure's status; please report it if it stays.");

    /// <summary>Whether the same request may succeed a little later.</summary>
    /// <param name="error">What came of it.</param>
    /// <param name="status">Null: there was no answer.</param>
    public static bool MayPass(ShardCloudException error, int? status) => error.Code switch
    {
        ErrorCodes.HostConflict or ErrorCodes.HostThrottled => true,
        ErrorCodes.ShardHostFailed => status is null or 408 or >= 500,
        _ => false,
    };

    private static (string Code, string Words) WordsOf(JsonObject? body)
    {
        var error = body?["error"] as JsonObject ?? body;
        var words = Text("message") ?? Text("Message") ?? "";
        return (Text("code") ?? Text("Code") ?? "", words.Length > WordsMax ? words[..WordsMax] : words);

        string? Text(string name) => error?[name] is JsonValue value && value.TryGetValue<string>(out var text) ? text : null;
    }
}

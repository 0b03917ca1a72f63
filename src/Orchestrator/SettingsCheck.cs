using Microsoft.Extensions.Options;
using ShardCloud.Orchestrator.Shards.AppService;

namespace ShardCloud.Orchestrator;

/// <summary>Checks the settings at start, and what must fit together; every fault is said by its name.</summary>
internal sealed class SettingsCheck(IConfiguration configuration) : IValidateOptions<OrchestratorSettings>
{
    public ValidateOptionsResult Validate(string? name, OrchestratorSettings options)
    {
        string?[] faults =
        [
            options.Auth.Fault(),
            options.AppService.IsUsed == options.ShardHost.Url is { IsAbsoluteUri: true }
                ? "Exactly one of ShardCloud:ShardHost:Url (a shard host's address) and ShardCloud:AppService:SubscriptionId (sites of App Service) is to be set." : null,
            options.AppService.Fault() ?? (options.AppService.IsUsed ? ShardEnvironment.Fault(ShardEnvironment.Read(configuration)) : null),
            options.SlowShards.IsValid ? null : "A value under ShardCloud:SlowShards is out of range, or PromptWithin is longer than AnswerWithin.",
        ];
        List<string> found = [.. faults.OfType<string>()];
        return found.Count == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(found);
    }
}

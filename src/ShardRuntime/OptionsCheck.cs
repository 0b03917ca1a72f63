using System.ComponentModel.DataAnnotations;
using Microsoft.Extensions.Options;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime;

/// <summary>Checks the settings at start, the nested ones too, and what must fit together.</summary>
internal sealed class OptionsCheck : IValidateOptions<ShardRuntimeOptions>
{
    public ValidateOptionsResult Validate(string? name, ShardRuntimeOptions options)
    {
        List<string> failures = [];
        Check(options, ShardRuntimeOptions.SectionName, failures);
        foreach (var property in typeof(ShardRuntimeOptions).GetProperties())
        {
            if (property.PropertyType.IsClass && property.PropertyType != typeof(string) && property.GetValue(options) is { } nested)
                Check(nested, $"{ShardRuntimeOptions.SectionName}:{property.Name}", failures);
        }

        if (!ShardId.IsValid(options.Shard)) failures.Add("ShardCloud:Shard must be 1 to 40 of a-z, 0-9 and '-', starting with a letter.");
        if (options.Auth.Fault() is { } fault) failures.Add(fault);

        CheckApp(options, failures);

        // A request may be repeated as long as it may be parked; its record must outlive that twice over, or a late repeat would run again (TRACES 20).
        var parked = options.Parking.TimeMax is { } asked && asked > Parking.LeastTime(options.Lease.Length) ? asked : Parking.LeastTime(options.Lease.Length);
        if (options.Requests.RecordsExpireAfter < parked * 2)
        {
            failures.Add($"ShardCloud:Requests:RecordsExpireAfter is {options.Requests.RecordsExpireAfter}, less than twice the parking time of {parked}. " +
                "Raise it, or shorten ShardCloud:Lease:Length.");
        }
        if (options.Affinity.Window > options.Affinity.HalfLife)
            failures.Add($"ShardCloud:Affinity:Window is {options.Affinity.Window}, longer than the half-life of {options.Affinity.HalfLife}. Shorten it, or raise ShardCloud:Affinity:HalfLife.");
        return failures.Count == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(failures);
    }

    private static void CheckApp(ShardRuntimeOptions options, List<string> failures)
    {
        if (options.App.Command.Length > 0 && options.Role is not MemberRole.Shard) failures.Add("ShardCloud:App:Command is for shards: a router runs no application.");
        try
        {
            _ = options.App.Words();
            _ = new TemplateTable([.. options.App.Templates()]);
        }
        catch (ShardCloudException error)
        {
            failures.Add($"{error.Code}: {error.Message} {error.Remedy}");
        }
    }

    private static void Check(object part, string path, List<string> failures)
    {
        List<ValidationResult> found = [];
        if (!Validator.TryValidateObject(part, new ValidationContext(part), found, validateAllProperties: true))
            failures.AddRange(found.Select(failure => $"{path}: {failure.ErrorMessage}"));
    }
}

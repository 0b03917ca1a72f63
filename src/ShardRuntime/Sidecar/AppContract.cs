using System.Text.Json;
using System.Text.Json.Serialization;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Sidecar;

/// <summary>What an application in any language says of its templates: contract probes and shadow rules in a file, as C# declares them in code; docs/probes.md.</summary>
internal static class AppContract
{
    /// <summary>Declares what the file says.</summary>
    /// <param name="file">JSON: template -> probes and rules.</param>
    /// <param name="templates">The application's.</param>
    /// <exception cref="ShardCloudException">SC1012: the file cannot be read, or says something that cannot be meant so.</exception>
    public static void Declare(string file, ShardTemplates templates)
    {
        foreach (var (pattern, declared) in Read(file))
        {
            var contract = templates.Contracts.FirstOrDefault(contract => contract.Spec.Pattern == pattern)
                ?? throw ContractErrors.Bad($"'{file}' names the template '{pattern}', which is none of the application's: {string.Join(", ", templates.Contracts.Select(known => known.Spec.Pattern))}.");
            foreach (var probe in declared.Probes ?? []) contract.Add(probe.Name, probe.Endpoint, ProbeOf(probe));
            if (declared.Shadow is not { } shadow) continue;
            contract.Rules.Ignore(shadow.Ignore ?? []);
            if (shadow.AllowAddedMembers) contract.Rules.AllowAddedMembers();
        }
    }

    private static Dictionary<string, TemplateDeclaration> Read(string file)
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(file), ContractJson.Default.DictionaryStringTemplateDeclaration) ?? throw ContractErrors.Bad($"'{file}' is no JSON object.");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or JsonException)
        {
            throw ContractErrors.Bad($"The contract '{file}' cannot be read: {error.Message}");
        }
    }

    private static ContractProbe ProbeOf(ProbeDeclaration declared)
    {
        var probe = new ContractProbe();
        foreach (var request in declared.Requests)
        {
            var (path, body) = (request.Path ?? "", request.Body is { } json ? json.GetRawText() : "");
            _ = request.Method switch
            {
                "GET" when body.Length == 0 => probe.Get(path),
                "DELETE" when body.Length == 0 => probe.Delete(path),
                "POST" => probe.Post(path, body),
                "PUT" => probe.Put(path, body),
                "PATCH" => probe.Patch(path, body),
                _ => throw ContractErrors.Bad($"Probe '{declared.Name}': '{request.Method}' is not GET or DELETE without a body, POST, PUT or PATCH."),
            };
            if (request.Status is { } status) probe.Expect(status);
            foreach (var (pointer, value) in request.Json ?? new Dictionary<string, JsonElement>())
            {
                if (!ShadowRules.IsPointer(pointer)) throw ContractErrors.Bad($"Probe '{declared.Name}': '{pointer}' is no JSON pointer (RFC 6901).");
                probe.Expect(answer => At(answer.Json, pointer) is { } found && JsonElement.DeepEquals(found, value), $"{(pointer.Length == 0 ? "the answer" : pointer)} is {value.GetRawText()}");
            }
        }
        return probe;
    }

    /// <summary>What is at a place (RFC 6901); null: nothing.</summary>
    private static JsonElement? At(JsonElement whole, string pointer)
    {
        var found = whole;
        foreach (var part in pointer.Split('/').Skip(1).Select(part => part.Replace("~1", "/", StringComparison.Ordinal).Replace("~0", "~", StringComparison.Ordinal)))
        {
            if (found.ValueKind is JsonValueKind.Object && found.TryGetProperty(part, out var member)) found = member;
            else if (found.ValueKind is JsonValueKind.Array && int.TryParse(part, System.Globalization.NumberStyles.None, null, out var index) && index < found.GetArrayLength()) found = found[index];
            else return null;
        }
        return found;
    }
}

/// <summary>Of one template.</summary>
internal sealed record TemplateDeclaration(IReadOnlyList<ProbeDeclaration>? Probes = null, ShadowDeclaration? Shadow = null);

/// <summary>One probe: its name in reports, the values of the template's names, and what is asked.</summary>
internal sealed record ProbeDeclaration(string Name, string Endpoint, IReadOnlyList<RequestDeclaration> Requests);

/// <summary>One request, and what is expected of its answer: status (absent: 200 to 299), and JSON values by pointer.</summary>
internal sealed record RequestDeclaration(string Method, string? Path = null, JsonElement? Body = null, int? Status = null, IReadOnlyDictionary<string, JsonElement>? Json = null);

/// <summary>In what answers of two versions may differ.</summary>
internal sealed record ShadowDeclaration(IReadOnlyList<string>? Ignore = null, bool AllowAddedMembers = false);

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(Dictionary<string, TemplateDeclaration>))]
internal sealed partial class ContractJson : JsonSerializerContext;

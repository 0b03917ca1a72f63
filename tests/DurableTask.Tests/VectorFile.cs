using System.Text.Json;
using ShardCloud.DurableTask.Protocol;

namespace ShardCloud.DurableTask.Tests;

/// <summary>One recorded instance: the requests of its turns and the answers of the reference engine.</summary>
public sealed record VectorFile(string Name, string OrchestratorName, IReadOnlyList<string> Tags, IReadOnlyList<VectorTurn> Turns)
{
    private static string Folder { get; } = Path.Combine(AppContext.BaseDirectory, "vectors");

    public static TheoryData<string> Names() => [.. Directory.GetFiles(Folder, "*.json").Select(f => Path.GetFileNameWithoutExtension(f)!).Order()];

    public static VectorFile Load(string name)
    {
        using var document = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Folder, name + ".json")));
        var root = document.RootElement;
        return new VectorFile(
            name,
            root.GetProperty("orchestratorName").GetString()!,
            [.. root.GetProperty("tags").EnumerateArray().Select(t => t.GetString()!)],
            [.. root.GetProperty("turns").EnumerateArray().Select(t => new VectorTurn(
                OrchestratorRequest.Parser.ParseFrom(t.GetProperty("requestBase64").GetBytesFromBase64()),
                OrchestratorResponse.Parser.ParseFrom(t.GetProperty("responseBase64").GetBytesFromBase64())))]);
    }
}

public sealed record VectorTurn(OrchestratorRequest Request, OrchestratorResponse Response);

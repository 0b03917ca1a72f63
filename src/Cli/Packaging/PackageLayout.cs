using System.IO.Compression;
using System.Text.Json;
using ShardCloud.Packages;

namespace ShardCloud.Cli.Packaging;

/// <summary>What a zip of our own must have: the Orchestrator's as the Functions host reads it, a router's as its site starts it.</summary>
internal static class PackageLayout
{
    private const string HostFile = "host.json", FunctionFile = "function.json", Runtime = "libcoreclr.so", RouterProgram = "ShardCloud.ShardRuntime";

    private const int AnyExecute = 0x49; // 0o111.

    /// <summary>Looks through a zip.</summary>
    /// <exception cref="ShardCloudException">SC7018 with what is wrong.</exception>
    public static void Check(ZipArchive zip, PackageKind kind, bool selfContained)
    {
        if (zip.Entries.FirstOrDefault(entry => entry.FullName.EndsWith(".pdb", StringComparison.OrdinalIgnoreCase)) is { } symbols)
            throw Wrong($"'{symbols.FullName}' is in it: a file of symbols names folders of the machine that built it", "Publish with DebugType=embedded.");
        if (selfContained && zip.GetEntry(Runtime) is null) throw Wrong($"there is no {Runtime} in it, though it is to bring .NET along", "Publish with --self-contained.");
        if (kind == PackageKind.Orchestrator) CheckFunctions(zip);
        else if (kind == PackageKind.Router && zip.GetEntry($"{RouterProgram}.dll") is null) throw Wrong($"there is no {RouterProgram}.dll at its root", "Zip what was published, not the folder that it is in.");
        if (kind == PackageKind.Router && selfContained) CheckProgram(zip, RouterProgram);
    }

    private static void CheckFunctions(ZipArchive zip)
    {
        using var host = Read(zip, HostFile) ?? throw Wrong($"there is no {HostFile} at its root", "Zip what was published, not the folder that it is in.");
        var program = host.RootElement.TryGetProperty("customHandler", out var handler) && handler.TryGetProperty("description", out var description) && description.TryGetProperty("defaultExecutablePath", out var path) ? path.GetString() : null;
        CheckProgram(zip, program ?? throw Wrong($"{HostFile} names no customHandler.description.defaultExecutablePath", "Take the Orchestrator's own."));

        var functions = zip.Entries.Where(entry => entry.Name == FunctionFile).ToList();
        if (functions.Count == 0) throw Wrong($"there is no folder with a {FunctionFile} in it", "Take the Orchestrator's own folders, one for each function.");
        foreach (var function in functions)
        {
            if (function.FullName.Split('/').Length != 2) throw Wrong($"'{function.FullName}' is not in a folder at the root, where the host looks", "Zip what was published, not the folder that it is in.");
            using var json = Read(zip, function.FullName)!;
            if (!json.RootElement.TryGetProperty("bindings", out var bindings) || bindings.ValueKind != JsonValueKind.Array || bindings.GetArrayLength() == 0) throw Wrong($"'{function.FullName}' has no bindings", "Take the Orchestrator's own.");
        }
    }

    private static void CheckProgram(ZipArchive zip, string name)
    {
        var program = zip.GetEntry(name) ?? throw Wrong($"its program '{name}' is not in it", "Publish it with its own program (UseAppHost).");
        using var content = program.Open();
        var head = new byte[Executable.HeadBytes];
        var made = Executable.PlatformOf(head.AsSpan(0, content.ReadAtLeast(head, head.Length, throwOnEndOfStream: false)));
        if (made != PackageBuild.Platform) throw Wrong($"its program '{name}' is made for {made ?? "nothing that is known"}, not for {PackageBuild.Platform}", $"Publish with --runtime {PackageBuild.Platform}.");
        if (((int)((uint)program.ExternalAttributes >> 16) & AnyExecute) == 0) throw Wrong($"its program '{name}' is not marked as executable", "Zip it on Linux or macOS.");
    }

    private static JsonDocument? Read(ZipArchive zip, string name)
    {
        if (zip.GetEntry(name) is not { } entry) return null;
        using var content = entry.Open();
        try
        {
            return JsonDocument.Parse(content);
        }
        catch (JsonException error)
        {
            throw Wrong($"'{name}' is not JSON: {error.Message}", "Take the Orchestrator's own.");
        }
    }

    private static ShardCloudException Wrong(string why, string remedy) => PackageBuild.Failed($"The package cannot run: {why}.", remedy);
}

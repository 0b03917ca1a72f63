using System.Text.Json;
using ShardCloud.Packages;

namespace ShardCloud.Bench.Rolls;

/// <summary>Packages of ever newer versions: a build of Rooms under another number, and a broken one with another fault.</summary>
internal static class NextVersion
{
    /// <summary>Copies the folder of a package and gives the copy a version.</summary>
    /// <param name="package">What is copied.</param>
    /// <param name="folder">Where to.</param>
    /// <param name="version">Of the copy.</param>
    /// <param name="fault">Of samples/Rooms.Broken; null: a sound build.</param>
    public static string Make(string package, string folder, string version, string? fault)
    {
        foreach (var file in Directory.EnumerateFiles(package, "*", SearchOption.AllDirectories))
        {
            var copy = Path.Combine(folder, Path.GetRelativePath(package, file));
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            File.Copy(file, copy, overwrite: true);
        }
        var manifest = Path.Combine(folder, PackageManifest.FileName);
        string[] command = fault is null ? ["dotnet", "Rooms.dll"] : ["dotnet", "Rooms.dll", "--fault", fault];
        File.WriteAllText(manifest, JsonSerializer.Serialize(new { version, command }));
        return folder;
    }
}

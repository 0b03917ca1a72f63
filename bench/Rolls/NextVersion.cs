using ShardCloud.Packages;

namespace ShardCloud.Bench.Rolls;

/// <summary>Packages of ever newer versions: the build of Rooms 2.0.0 under another number.</summary>
internal static class NextVersion
{
    /// <summary>Copies the folder of a package and gives the copy a version.</summary>
    public static string Make(string package, string folder, string version)
    {
        foreach (var file in Directory.EnumerateFiles(package, "*", SearchOption.AllDirectories))
        {
            var copy = Path.Combine(folder, Path.GetRelativePath(package, file));
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            File.Copy(file, copy, overwrite: true);
        }
        var manifest = Path.Combine(folder, PackageManifest.FileName);
        File.WriteAllText(manifest, File.ReadAllText(manifest).Replace("\"2.0.0\"", $"\"{version}\"", StringComparison.Ordinal));
        return folder;
    }
}

namespace ShardCloud.Integration.Tests;

/// <summary>Finds files of the repository from a test's output folder.</summary>
internal static class Repository
{
    private static readonly string Root = FindRoot();

    /// <summary>Output of the command line, built in the same configuration as this test.</summary>
    public static string CliFolder => File($"src/Cli/bin/{Configuration}/net10.0");

    /// <summary>The programs that a local cloud starts.</summary>
    public static string Apps => Path.Combine(CliFolder, "apps");

    /// <summary>Debug or Release, as this test was built.</summary>
    public static string Configuration => AppContext.BaseDirectory.Contains($"{Path.DirectorySeparatorChar}Release{Path.DirectorySeparatorChar}", StringComparison.Ordinal) ? "Release" : "Debug";

    public static string File(string relative) => Path.Combine(Root, relative);

    private static string FindRoot()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (folder is not null && !System.IO.File.Exists(Path.Combine(folder.FullName, "ShardCloud.sln"))) folder = folder.Parent;
        return folder?.FullName ?? throw new DirectoryNotFoundException("ShardCloud.sln was not found above the tests.");
    }
}

using System.Text.Json;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using Microsoft.Extensions.Configuration;
using ShardCloud.ShardRuntime;

namespace ShardCloud.Infra.Tests;

/// <summary>The Dockerfiles, read: nothing here can build an image, but what they name can be looked up.</summary>
public sealed partial class DockerfileTests
{
    private static readonly string Root = InfraFolder.Repository;

    public static TheoryData<string> All => [.. Folders().Select(folder => $"{folder}/Dockerfile").Where(file => File.Exists(Path.Combine(Root, file)))];

    [Fact]
    public void EachPart_HasOne() => Assert.Equal(["samples/Rooms/Dockerfile", "src/Orchestrator/Dockerfile", "src/ShardRuntime/Dockerfile"], All.Select(row => row.Data));

    [Theory]
    [MemberData(nameof(All))]
    public void Build_PublishesTheProjectBesideIt_AndOnlyItsOutputIsTaken(string file)
    {
        var image = Read(file);
        var publish = Publish().Match(image.Of("RUN").Single());

        Assert.True(publish.Success, "dotnet publish PROJECT -c Release … -o FOLDER");
        Assert.Equal(file[..file.LastIndexOf('/')], publish.Groups["project"].Value[..publish.Groups["project"].Value.LastIndexOf('/')]);
        Assert.True(File.Exists(Path.Combine(Root, publish.Groups["project"].Value)));
        Assert.Equal([". .", $"--from=build {publish.Groups["out"].Value} {image.Target}"], image.Of("COPY"));
        Assert.Equal(2, image.Of("FROM").Count);
        Assert.All(image.Of("FROM"), from => Assert.Matches(@"^mcr\.microsoft\.com/[a-z/-]+:(10\.0[a-z-]*|4)( AS build)?$", from));
        Assert.EndsWith(" AS build", image.Of("FROM")[0], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("src/ShardRuntime/Dockerfile")]
    [InlineData("samples/Rooms/Dockerfile")]
    public void Member_StartsWhatPublishingMakes_AsItsFirstProcess_AndNotAsRoot(string file)
    {
        var image = Read(file);
        var project = Path.Combine(Root, Publish().Match(image.Of("RUN").Single()).Groups["project"].Value);
        var start = JsonSerializer.Deserialize<string[]>(image.Of("ENTRYPOINT").Single())!; // The form with a shell is no JSON, and the shell would get the signal.

        Assert.Equal("dotnet", start[0]);
        Assert.Equal($"{XDocument.Load(project).Descendants("AssemblyName").SingleOrDefault()?.Value ?? Path.GetFileNameWithoutExtension(project)}.dll", start[1]);
        Assert.Equal(("$APP_UID", "SIGTERM"), (image.Of("USER").Single(), image.Of("STOPSIGNAL").Single()));
        Assert.Contains("chiseled", image.Of("FROM")[1], StringComparison.Ordinal);

        var told = new ConfigurationBuilder().AddInMemoryCollection(image.Of("ENV").SelectMany(line => line.Split(' ')).Select(pair => pair.Split('=', 2)).Select(pair => KeyValuePair.Create(pair[0].Replace("__", ":", StringComparison.Ordinal), (string?)pair[1]))).Build();
        var options = told.GetSection(ShardRuntimeOptions.SectionName).Get<ShardRuntimeOptions>(bind => bind.ErrorOnUnknownConfiguration = true)!;
        Assert.Equal(options.Public.Url.Port, int.Parse(image.Of("EXPOSE").Single(), System.Globalization.CultureInfo.InvariantCulture));
    }

    /// <summary>The host looks for host.json in that folder, and for the program that it names.</summary>
    [Fact]
    public void Orchestrator_LiesWhereTheHostLooks_WithAProgramOfItsOwn()
    {
        var image = Read("src/Orchestrator/Dockerfile");

        Assert.Contains($"AzureWebJobsScriptRoot={image.Target}", image.Of("ENV").Single(), StringComparison.Ordinal);
        Assert.Contains(" -r linux-x64 --self-contained ", image.Of("RUN").Single(), StringComparison.Ordinal);
        Assert.Empty(image.Of("ENTRYPOINT"));
    }

    [Fact]
    public void Context_HasNoOutputsInIt() => Assert.Superset(
        new HashSet<string>(StringComparer.Ordinal) { ".git", "**/bin", "**/obj", "**/node_modules" }, File.ReadAllLines(Path.Combine(Root, ".dockerignore")).ToHashSet(StringComparer.Ordinal));

    private static IEnumerable<string> Folders() => new[] { "samples", "src" }.SelectMany(parent => Directory.EnumerateDirectories(Path.Combine(Root, parent)).Select(folder => $"{parent}/{Path.GetFileName(folder)}")).Order(StringComparer.Ordinal);

    private static Image Read(string file) => new([
        .. File.ReadAllLines(Path.Combine(Root, file)).Where(line => line.Length > 0 && line[0] != '#').Select(line => line.Split(' ', 2)).Select(parts => (parts[0], parts[1])),
    ]);

    [GeneratedRegex(@"^dotnet publish (?<project>\S+\.csproj) -c Release .*?-o (?<out>\S+)")]
    private static partial Regex Publish();

    private sealed record Image(IReadOnlyList<(string Instruction, string Value)> Lines)
    {
        /// <summary>Where what was published is put.</summary>
        public string Target => Of("COPY")[^1].Split(' ')[^1];

        public IReadOnlyList<string> Of(string instruction) => [.. Lines.Where(line => line.Instruction == instruction).Select(line => line.Value)];
    }
}

using System.Reflection;
using System.Text.RegularExpressions;

namespace ShardCloud.Integration.Tests;

public sealed partial class DocsTests
{
    [Fact]
    public void Errors_EveryCodeIsExplainedOnce_AndNoOtherIs()
    {
        var codes = typeof(ErrorCodes).GetFields(BindingFlags.Public | BindingFlags.Static).Select(field => (string)field.GetRawConstantValue()!).Order().ToArray();
        var explained = ErrorRow().Matches(File.ReadAllText(Repository.File("docs/errors.md"))).Select(match => match.Groups[1].Value).Order().ToArray();

        Assert.Equal(codes, explained);
        Assert.Equal(codes.Distinct(), codes);
    }

    [Fact]
    public void Links_InTheDocuments_LeadToFiles()
    {
        var documents = Directory.EnumerateFiles(Repository.File("docs"), "*.md", SearchOption.AllDirectories).Append(Repository.File("README.md")).Append(Repository.File("CONTRIBUTING.md"));
        var missing = from document in documents
                      from match in PathInBackticks().Matches(File.ReadAllText(document))
                      let path = match.Groups[1].Value
                      where !File.Exists(Repository.File(path)) && !Directory.Exists(Repository.File(path))
                      select $"{Path.GetFileName(document)}: {path}";

        Assert.Empty(missing);
    }

    /// <summary>A document that names a test as its proof names one that is there.</summary>
    [Fact]
    public void Tests_NamedInTheDocuments_Exist()
    {
        var tests = Directory.EnumerateFiles(Repository.File("tests"), "*.cs", SearchOption.AllDirectories).SelectMany(file => TestMethod().Matches(File.ReadAllText(file)))
            .Select(match => match.Groups[1].Value).ToHashSet(StringComparer.Ordinal);
        var named = Directory.EnumerateFiles(Repository.File("docs"), "*.md", SearchOption.AllDirectories)
            .SelectMany(document => TestInBackticks().Matches(File.ReadAllText(document)).Select(match => (Document: Path.GetFileName(document), Test: match.Groups[1].Value))).ToList();

        Assert.Contains(named, mention => mention.Document == "replication.md");
        Assert.DoesNotContain(named, mention => !tests.Contains(mention.Test));
    }

    [GeneratedRegex(@"public (?:async )?(?:void|Task) (\w+)\(")]
    private static partial Regex TestMethod();

    /// <summary>Words with an underscore between them and a small letter somewhere: neither settings nor environment variables look like that.</summary>
    [GeneratedRegex(@"`([A-Z][A-Za-z0-9]*(?:_[A-Z][A-Za-z0-9]*[a-z][A-Za-z0-9]*)+)`")]
    private static partial Regex TestInBackticks();

    [GeneratedRegex(@"^\| (SC\d{4}) \|", RegexOptions.Multiline)]
    private static partial Regex ErrorRow();

    [GeneratedRegex(@"`((?:src|tests|docs|samples|bench|\.ci|\.github)/[A-Za-z0-9_./-]+?)/?`")]
    private static partial Regex PathInBackticks();
}

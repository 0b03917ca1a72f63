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

    [GeneratedRegex(@"^\| (SC\d{4}) \|", RegexOptions.Multiline)]
    private static partial Regex ErrorRow();

    [GeneratedRegex(@"`((?:src|tests|docs|samples|bench|\.ci|\.github)/[A-Za-z0-9_./-]+?)/?`")]
    private static partial Regex PathInBackticks();
}

using System.CommandLine;
using System.Text.RegularExpressions;
using ShardCloud.Cli;

namespace ShardCloud.Integration.Tests;

/// <summary>Every command of <c>shardcloud</c> that a document, a help text, a remedy or a script names is one that it understands.</summary>
public sealed partial class DocumentedCommandsTests
{
    private static readonly RootCommand Root = CommandLine.Root();

    [Fact]
    public void Documents_NameCommandsThatAreUnderstood()
    {
        var documents = Directory.EnumerateFiles(Repository.File("docs"), "*.md", SearchOption.AllDirectories).Concat(
            [Repository.File("README.md"), Repository.File("CONTRIBUTING.md"), Repository.File("bench/README.md"), .. Directory.EnumerateFiles(Repository.File("samples"), "README.md", SearchOption.AllDirectories)]);
        var commands = documents.SelectMany(document => InDocument().Matches(Joined(document)).Select(match => (Path.GetFileName(document), match.Groups[1].Value))).ToList();

        Assert.Contains(commands, command => command.Item1 == "README.md");
        AssertUnderstood(commands);
    }

    /// <summary>Examples of help texts, and remedies: <c>'shardcloud status'</c>. What an interpolation fills in counts as a word.</summary>
    [Fact]
    public void Programs_NameCommandsThatAreUnderstood()
    {
        var files = Directory.EnumerateFiles(Repository.File("src"), "*.cs", SearchOption.AllDirectories).Where(file => !file.Contains($"{Path.DirectorySeparatorChar}obj{Path.DirectorySeparatorChar}", StringComparison.Ordinal)).ToList();
        var commands = files.SelectMany(file => InProgram().Matches(Joined(file)).Select(match => (Path.GetFileName(file), Interpolation().Replace(match.Groups[1].Value, "1")))).ToList();

        Assert.Contains(commands, command => command.Item1 == "MigrationPlanner.cs");
        AssertUnderstood(commands);
    }

    [Fact]
    public void Scripts_CallCommandsThatAreUnderstood()
    {
        var scripts = Directory.EnumerateFiles(Repository.File(".github"), "*", SearchOption.AllDirectories).Append(Repository.File(".ci/fresh"));
        var commands = scripts.SelectMany(script => InScript().Matches(Joined(script)).Select(match => (Path.GetFileName(script), Variable().Replace(match.Groups[1].Value.Replace("\"$@\"", ""), "1")))).ToList();

        Assert.NotEmpty(commands);
        AssertUnderstood(commands);
    }

    private static void AssertUnderstood(IEnumerable<(string Where, string Command)> commands)
    {
        var wrong = from command in commands
                    let line = Plain(command.Command)
                    where line is not null
                    let error = ErrorOf(line)
                    where error is not null
                    select $"{command.Where}: {line}: {error}";
        var all = string.Join('\n', wrong.Distinct());
        Assert.True(all.Length == 0, all);
    }

    // A text may name a verb without all that it needs.
    private static string? ErrorOf(string line)
    {
        try
        {
            return Root.Parse(Number().Replace(line, "1")).Errors.FirstOrDefault(error => !Missing().IsMatch(error.Message))?.Message;
        }
        catch (InvalidOperationException error)
        {
            return error.Message;
        }
    }

    private static string Joined(string file) => File.ReadAllText(file).Replace("\\\n", " ", StringComparison.Ordinal);

    // What follows a pipe, a comment or a redirection is the shell's; a pattern with choices is not a command.
    private static string? Plain(string command)
    {
        var line = ShellEnd().Split(command)[0].Trim();
        return line.Length == 0 || Choices().IsMatch(line) ? null : line;
    }

    [GeneratedRegex(@"(?:`|^ *)(?:shardcloud|dotnet run -c Release --project src/Cli --) ([a-z][^`\n]*)", RegexOptions.Multiline)]
    private static partial Regex InDocument();

    [GeneratedRegex(@"(?:'|^ +|Example: )shardcloud ([a-z][^'\n""]*)", RegexOptions.Multiline)]
    private static partial Regex InProgram();

    [GeneratedRegex(@"(?:^|\$\()\s*(?:shardcloud|dotnet run -c Release --project src/Cli --) ([a-z][^)\n]*)", RegexOptions.Multiline)]
    private static partial Regex InScript();

    [GeneratedRegex(@"\{[^}]*\}")]
    private static partial Regex Interpolation();

    [GeneratedRegex(@"""?\$\{?[A-Za-z_0-9@]+(?::[^}]*)?\}?""?")]
    private static partial Regex Variable();

    [GeneratedRegex(@" [|>#&;]|\s{2,}|;|\)$| && ")]
    private static partial Regex ShellEnd();

    [GeneratedRegex("^Required | is required")]
    private static partial Regex Missing();

    [GeneratedRegex(@"\b[NT]\b")]
    private static partial Regex Number();

    [GeneratedRegex(@"[\[\]|…]|\.\.\.")]
    private static partial Regex Choices();
}

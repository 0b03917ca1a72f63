using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Spectre.Console;

namespace ShardCloud.Cli.Output;

/// <summary>Where a verb writes: results to standard output (a table, or JSON with --json), progress and errors to standard error.</summary>
internal sealed class Terminal(bool json)
{
    private const int WidthWithoutTerminal = 160; // A file or a pipe has no edge; 80 would break the words of every table.

    private readonly IAnsiConsole _errors = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });

    public bool Json { get; } = json;

    /// <summary>True when a person watches: progress may redraw itself.</summary>
    public bool IsInteractive => _errors.Profile.Capabilities.Interactive && !Console.IsErrorRedirected;

    public IAnsiConsole Progress => _errors;

    /// <summary>The result: for a script as JSON, for a person as rendered by <paramref name="table"/>.</summary>
    public void Result<T>(T value, JsonTypeInfo<T> type, Action<IAnsiConsole> table)
    {
        if (Json) Console.Out.WriteLine(JsonSerializer.Serialize(value, type));
        else
        {
            if (Console.IsOutputRedirected) AnsiConsole.Profile.Width = WidthWithoutTerminal;
            table(AnsiConsole.Console);
        }
    }

    /// <summary>One line of progress, with the time since the program started.</summary>
    public void Say(string line) => Console.Error.WriteLine(line);

    public void Error(ShardCloudException error)
    {
        if (Json) Console.Error.WriteLine(JsonSerializer.Serialize(new ErrorLine(error.Code, error.Message, error.Remedy), OutputJson.Default.ErrorLine));
        else Console.Error.WriteLine($"{error.Code}: {error.Message} {error.Remedy}".ReplaceLineEndings(" "));
    }
}

internal sealed record ErrorLine(string Code, string Message, string Remedy);

[System.Text.Json.Serialization.JsonSourceGenerationOptions(JsonSerializerDefaults.Web)]
[System.Text.Json.Serialization.JsonSerializable(typeof(ErrorLine))]
internal sealed partial class OutputJson : System.Text.Json.Serialization.JsonSerializerContext;

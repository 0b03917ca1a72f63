using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using ShardCloud.Cli.Api;

namespace ShardCloud.Cli.Commands;

/// <summary><c>connect</c>: what the shell must know so that all verbs ask a cloud in Azure; from the outputs of <c>pulumi up</c>.</summary>
/// <remarks>It keeps nothing: a file that outlives the shell would one day send a command that was meant for the local cloud to the real one.</remarks>
internal static partial class ConnectCommand
{
    private const string Posix = "posix", PowerShell = "powershell";

    public static Command Create()
    {
        var outputs = new Argument<FileInfo?>("OUTPUTS") { Description = "JSON of 'pulumi stack output --json'. Default: standard input.", Arity = ArgumentArity.ZeroOrOne };
        var shell = new Option<string>("--shell") { Description = "How the lines are written: posix or powershell.", DefaultValueFactory = _ => OperatingSystem.IsWindows() ? PowerShell : Posix };
        shell.AcceptOnlyFromAmong(Posix, PowerShell);
        return new Command("connect",
            """
            Prints what the shell must know so that every verb asks a cloud in Azure. Tokens are those of who has signed in with 'az login'.

            Example: eval "$(pulumi stack output --json | shardcloud connect)"
            """)
        {
            outputs, shell, Shared.Json,
        }.Does(async (parsed, terminal, cancellationToken) =>
        {
            var file = parsed.GetValue(outputs);
            var connection = Read(file is null ? await Console.In.ReadToEndAsync(cancellationToken) : await ReadFileAsync(file, cancellationToken));
            if (terminal.Json)
            {
                terminal.Result(connection, ConnectJson.Default.Connection, _ => { });
                return 0;
            }
            foreach (var (name, value) in (IEnumerable<(string, string)>)[(ManagementClient.AddressVariable, connection.OrchestratorUrl), (ManagementClient.AudienceVariable, connection.Audience)])
                Console.Out.WriteLine(parsed.GetValue(shell) == PowerShell ? $"$env:{name} = '{value}'" : $"export {name}='{value}'");
            terminal.Say($"Orchestrator {connection.OrchestratorUrl}; clients use {string.Join(", ", connection.RouterUrls ?? [])}. Try 'shardcloud status'.");
            return 0;
        });
    }

    /// <summary>The outputs that count, checked: they are to be run by a shell.</summary>
    internal static Connection Read(string json)
    {
        Connection? read;
        try
        {
            read = JsonSerializer.Deserialize(json, ConnectJson.Default.Connection);
        }
        catch (JsonException error)
        {
            throw Bad($"they are not JSON: {error.Message}");
        }
        if (read is null || !Uri.TryCreate(read.OrchestratorUrl, UriKind.Absolute, out var address) || address.Scheme != "https" || !IsPlain(read.OrchestratorUrl)) throw Bad("'orchestratorUrl' is not an https address");
        return IsPlain(read.Audience) ? read : throw Bad("'audience' is not an application ID URI");
    }

    private static async Task<string> ReadFileAsync(FileInfo file, CancellationToken cancellationToken)
    {
        try
        {
            return await File.ReadAllTextAsync(file.FullName, cancellationToken);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw Bad(error.Message);
        }
    }

    private static bool IsPlain(string? text) => text is not null && Plain().IsMatch(text);

    [GeneratedRegex("^[A-Za-z0-9:/._~-]{1,400}$")]
    private static partial Regex Plain();

    private static ShardCloudException Bad(string why) => new(ErrorCodes.BadOutputs, $"The outputs cannot be used: {why}.", "Give what 'pulumi stack output --json' prints after 'pulumi up'.");
}

/// <summary>Outputs of the Pulumi program, as far as the command line needs them; what <c>connect --json</c> prints.</summary>
internal sealed record Connection(string OrchestratorUrl, string Audience, IReadOnlyList<string>? RouterUrls, string? Application, string? ApplicationVersion);

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(Connection))]
internal sealed partial class ConnectJson : JsonSerializerContext;

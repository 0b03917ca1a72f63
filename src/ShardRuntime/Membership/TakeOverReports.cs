using System.Net.Http.Headers;
using System.Text.Json;
using System.Threading.Channels;
using ShardCloud.Contracts;
using ShardCloud.Identity;

namespace ShardCloud.ShardRuntime.Membership;

/// <summary>Tells the Orchestrator whom this member has taken over, so that a replacement starts at once.</summary>
/// <remarks>
/// Nothing waits for it: who took over serves already. A report is repeated until it is accepted, ever more slowly, and <see cref="TriesMax"/> times at most; what is lost with
/// this process, or given up, the Orchestrator's Monitor finds in the map. The same incarnation again is the same operation there.
/// </remarks>
internal sealed partial class TakeOverReports(OrchestratorSettings settings, ITokenSource tokens, TimeProvider time, ILogger<TakeOverReports> logger) : BackgroundService
{
    /// <summary>About ten minutes in all.</summary>
    public const int TriesMax = 25;

    private const int WaitingMax = 64;

    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(250), PauseMax = TimeSpan.FromSeconds(30), AnswerWithin = TimeSpan.FromSeconds(5);

    private readonly Channel<IncarnationId> _waiting = Channel.CreateBounded<IncarnationId>(new BoundedChannelOptions(WaitingMax) { FullMode = BoundedChannelFullMode.DropWrite, SingleReader = true });

    /// <summary>Reports one; returns at once.</summary>
    public void Report(IncarnationId dead)
    {
        if (settings.Url is not null) _waiting.Writer.TryWrite(dead);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (settings.Url is null) return;
        using var http = new HttpClient { BaseAddress = settings.Url, Timeout = AnswerWithin };
        try
        {
            await foreach (var dead in _waiting.Reader.ReadAllAsync(stoppingToken)) await ReportAsync(http, dead, stoppingToken);
        }
        catch (OperationCanceledException)
        {
            // Stopping: the Monitor finds what was not reported.
        }
    }

    private async Task ReportAsync(HttpClient http, IncarnationId dead, CancellationToken cancellationToken)
    {
        var pause = FirstPause;
        for (var attempt = 1; ; attempt++)
        {
            var why = await TryAsync(http, dead, cancellationToken);
            if (why is null) return;
            if (attempt == TriesMax)
            {
                LogGivenUp(dead, attempt, why);
                return;
            }
            await Task.Delay(pause, time, cancellationToken);
            pause = pause * 2 < PauseMax ? pause * 2 : PauseMax;
        }
    }

    /// <summary>Null when it was accepted, else why not.</summary>
    private async Task<string?> TryAsync(HttpClient http, IncarnationId dead, CancellationToken cancellationToken)
    {
        try
        {
            // With a Content-Length: the Functions host drops a chunked body.
            using var body = new ByteArrayContent(JsonSerializer.SerializeToUtf8Bytes(new TakeOverReport(dead.Value), ManagementJson.Default.TakeOverReport)) { Headers = { ContentType = new MediaTypeHeaderValue("application/json") } };
            using var request = new HttpRequestMessage(HttpMethod.Post, "api/take-overs") { Content = body };
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", await tokens.GetTokenAsync(Audiences.Management, cancellationToken));
            using var response = await http.SendAsync(request, cancellationToken);
            return response.IsSuccessStatusCode ? null : $"it answered {(int)response.StatusCode}";
        }
        catch (Exception error) when (error is HttpRequestException or IOException || (error is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            return error.Message;
        }
    }

    [LoggerMessage(1250, LogLevel.Warning, "The Orchestrator was not told in {Tries} tries that {Dead} was taken over: {Why}. Its Monitor finds it")]
    private partial void LogGivenUp(IncarnationId dead, int tries, string why);
}

using System.Text.Json.Serialization;

namespace ShardCloud.Cli.Demo;

/// <summary>Visitors of lobbies: each enters a room by its lobby, the lobby's handler calls the room's, and that one an item's. The answers name the shards of all three, so it is counted how many of the calls crossed from one shard to another.</summary>
internal sealed class LobbyLoad : IDisposable
{
    public const int Lobbies = 6, RoomsEach = 3;

    private static readonly TimeSpan Every = TimeSpan.FromMilliseconds(25), RequestTimeout = TimeSpan.FromSeconds(60);

    private readonly HttpClient _http;
    private readonly List<string> _failures = [];
    private long _entered, _failed;
    private (long Calls, long Crossed) _window; // Guarded by _failures.

    public LobbyLoad(Uri router) => _http = new HttpClient { BaseAddress = router, Timeout = RequestTimeout };

    public long Failed => Interlocked.Read(ref _failed);

    public long Entered => Interlocked.Read(ref _entered);

    /// <summary>The first few failures, for the report.</summary>
    public IReadOnlyList<string> Failures
    {
        get { lock (_failures) return [.. _failures]; }
    }

    /// <summary>Lets visitors in until the token fires, then waits for those on their way.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        var running = new List<Task>();
        using var timer = new PeriodicTimer(Every);
        try
        {
            for (var number = 0; await timer.WaitForNextTickAsync(stop); number++)
            {
                running.Add(EnterAsync(number % Lobbies, number / Lobbies % RoomsEach));
                if (running.Count > 1_024) running.RemoveAll(task => task.IsCompletedSuccessfully);
            }
        }
        catch (OperationCanceledException)
        {
            // The time is over.
        }
        await Task.WhenAll(running);
    }

    /// <summary>Share of the calls that crossed shards, of visitors that came in during so long from now.</summary>
    public async Task<double> CrossedAsync(TimeSpan during, CancellationToken cancellationToken)
    {
        lock (_failures) _window = default;
        await Task.Delay(during, cancellationToken);
        lock (_failures) return _window.Calls == 0 ? 0 : (double)_window.Crossed / _window.Calls;
    }

    public void Dispose() => _http.Dispose();

    private async Task EnterAsync(int lobby, int room)
    {
        var path = $"lobbies/{lobby}/enter/lobby-{lobby}-{room}/lobby-{lobby}-{room}";
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, path);
            request.Headers.TryAddWithoutValidation("Authorization", $"Visitor {path}"); // Each is a client of its own; over this one connection they would all look like one that uses everything together.
            using var response = await _http.SendAsync(request);
            if (!response.IsSuccessStatusCode)
            {
                Fail($"POST /{path}: {(int)response.StatusCode} {await response.Content.ReadAsStringAsync()}");
                return;
            }
            var shards = (await response.Content.ReadFromJsonAsync(LobbyJson.Default.EnteredAnswer))!.Shards;
            Interlocked.Increment(ref _entered);
            lock (_failures) _window = (_window.Calls + 2, _window.Crossed + (shards[0] == shards[1] ? 0 : 1) + (shards[1] == shards[2] ? 0 : 1));
        }
        catch (Exception error) when (error is HttpRequestException or OperationCanceledException or System.Text.Json.JsonException or IOException)
        {
            Fail($"POST /{path}: {error.GetBaseException().Message}");
        }
    }

    private void Fail(string failure)
    {
        Interlocked.Increment(ref _failed);
        lock (_failures)
        {
            if (_failures.Count < 20) _failures.Add(failure);
        }
    }
}

/// <summary>What a lobby of Rooms answers.</summary>
internal sealed record EnteredAnswer(string Room, string Item, string[] Shards);

[JsonSourceGenerationOptions(System.Text.Json.JsonSerializerDefaults.Web)]
[JsonSerializable(typeof(EnteredAnswer))]
internal sealed partial class LobbyJson : JsonSerializerContext;

using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text.Json.Serialization;

namespace ShardCloud.Cli.Demo;

/// <summary>Open-loop load on the Rooms sample through the router: requests leave on schedule whether or not earlier ones were answered.</summary>
/// <remarks>
/// Latency counts from the moment a request was due, not from when it was sent, so a stall is charged to every request it delayed
/// (no "coordinated omission"). Of ten requests seven increment a counter, two read a room, one adds or removes a member.
/// In flight at most <see cref="InFlightMax"/>; past it the request is counted as failed, since a client would have given up.
/// </remarks>
internal sealed class RoomsLoad : IDisposable
{
    public const int InFlightMax = 20_000;

    private static readonly TimeSpan RequestTimeout = TimeSpan.FromSeconds(60);

    private readonly HttpClient _http;
    private readonly RoomLedger[] _rooms;
    private readonly int _requestsPerSecond;
    private readonly LatencyHistogram _latency = new();
    private LatencyHistogram _window = new();
    private readonly List<string> _failures = [];
    private long _sent, _succeeded, _failed, _errors, _inFlight, _connections;

    public RoomsLoad(Uri router, IEnumerable<RoomLedger> rooms, int requestsPerSecond)
        : this([router], rooms, requestsPerSecond)
    {
    }

    /// <summary>Through several routers, as behind one name: a connection goes to the next one that takes it.</summary>
    public RoomsLoad(IReadOnlyList<Uri> routers, IEnumerable<RoomLedger> rooms, int requestsPerSecond)
    {
        _http = new HttpClient(new SocketsHttpHandler
        {
            MaxConnectionsPerServer = 512,
            PooledConnectionIdleTimeout = TimeSpan.FromMinutes(2),
            ConnectCallback = routers.Count == 1 ? null : (_, cancellationToken) => ConnectAsync(routers, Interlocked.Increment(ref _connections), cancellationToken),
        })
        {
            BaseAddress = routers[0],
            Timeout = RequestTimeout,
        };
        _rooms = [.. rooms];
        _requestsPerSecond = requestsPerSecond;
    }

    public long Sent => Interlocked.Read(ref _sent);

    public long Succeeded => Interlocked.Read(ref _succeeded);

    public long Failed => Interlocked.Read(ref _failed);

    /// <summary>How many of the failed were answered with 500: by the application, and nobody else.</summary>
    public long Errors => Interlocked.Read(ref _errors);

    public LatencyHistogram Latency => _latency;

    /// <summary>Latencies since the last call, of answers that came in meanwhile.</summary>
    public LatencyHistogram NextWindow() => Interlocked.Exchange(ref _window, new LatencyHistogram());

    /// <summary>The first few failures, for the report.</summary>
    public IReadOnlyList<string> Failures
    {
        get { lock (_failures) return [.. _failures]; }
    }

    /// <summary>Runs until the token fires, then waits for what is still in flight.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        var start = Stopwatch.GetTimestamp();
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(2));
        var running = new List<Task>();
        for (long next = 0; !stop.IsCancellationRequested;)
        {
            var due = (long)(Stopwatch.GetElapsedTime(start).TotalSeconds * _requestsPerSecond);
            for (; next < due; next++) running.Add(SendOneAsync(next, start + (next * Stopwatch.Frequency / _requestsPerSecond)));
            if (running.Count > 1_024) running.RemoveAll(task => task.IsCompletedSuccessfully);
            try
            {
                await timer.WaitForNextTickAsync(stop);
            }
            catch (OperationCanceledException)
            {
                break;
            }
        }
        await Task.WhenAll(running);
    }

    /// <summary>Reads every room once and compares it with its ledger.</summary>
    public async Task<LedgerVerdict> CountAsync(CancellationToken cancellationToken)
    {
        var total = default(LedgerVerdict);
        foreach (var ledger in _rooms)
        {
            var room = await _http.GetFromJsonAsync($"rooms/{ledger.Room}", RoomsJson.Default.RoomAnswer, cancellationToken);
            var verdict = ledger.Judge(room!.Value, room.Members ?? []);
            total = new(total.Lost + verdict.Lost, total.Duplicated + verdict.Duplicated);
        }
        return total;
    }

    /// <summary>One increment beside the schedule, counted in its room's ledger. Returns why it failed, or null.</summary>
    public async Task<string?> IncrementAsync(RoomLedger ledger)
    {
        var before = ledger.Highest;
        var (answer, failure) = await SendAsync(HttpMethod.Post, $"rooms/{ledger.Room}/increment");
        if (answer is null) ledger.IncrementUnknown();
        else ledger.Incremented(answer.Value, before);
        return failure;
    }

    /// <summary>Milliseconds from a moment until a write to a room is answered that is sent now; a refusal is followed by another try.</summary>
    /// <exception cref="TimeoutException">None was within <paramref name="most"/>.</exception>
    public async Task<double> TimeWriteAsync(RoomLedger room, long since, TimeSpan most, CancellationToken cancellationToken)
    {
        while (await IncrementAsync(room) is { } failure)
        {
            if (Stopwatch.GetElapsedTime(since) > most) throw new TimeoutException($"rooms/{room.Room} does not answer after {most.TotalSeconds:0} s: {failure}");
            await Task.Delay(TimeSpan.FromMilliseconds(20), cancellationToken); // A refusal may come at once.
        }
        return Stopwatch.GetElapsedTime(since).TotalMilliseconds;
    }

    public void Dispose() => _http.Dispose();

    private async Task SendOneAsync(long number, long dueAt)
    {
        var ledger = _rooms[(int)(number * 2_654_435_761L % _rooms.Length)]; // Knuth's multiplicative step: spreads neighbours over the rooms.
        Interlocked.Increment(ref _sent);
        if (Interlocked.Increment(ref _inFlight) > InFlightMax)
        {
            Fail($"more than {InFlightMax} requests in flight");
        }
        else
        {
            var failure = (number % 10) switch
            {
                < 7 => await IncrementAsync(ledger),
                < 9 => await ReadAsync(ledger),
                _ => await ChangeMemberAsync(ledger),
            };
            if (failure is null) Interlocked.Increment(ref _succeeded);
            else Fail(failure);
            var took = Stopwatch.GetElapsedTime(dueAt);
            _latency.Record(took);
            Volatile.Read(ref _window).Record(took);
        }
        Interlocked.Decrement(ref _inFlight);
    }

    private async Task<string?> ReadAsync(RoomLedger ledger)
    {
        var before = ledger.Highest;
        var (answer, failure) = await SendAsync(HttpMethod.Get, $"rooms/{ledger.Room}");
        if (answer is not null) ledger.Read(answer.Value, before);
        return failure;
    }

    private async Task<string?> ChangeMemberAsync(RoomLedger ledger)
    {
        if (ledger.NextMemberChange() is not { } change) return await ReadAsync(ledger);
        var failure = await ChangeAsync(change.Add ? HttpMethod.Put : HttpMethod.Delete, $"rooms/{ledger.Room}/members/{change.Name}");
        ledger.MemberChanged(change.Name, change.Add, certain: failure is null);
        return failure;
    }

    /// <summary>A change whose status is the whole answer.</summary>
    private async Task<string?> ChangeAsync(HttpMethod method, string path) =>
        (await SendAsync(method, path, _ => Task.FromResult<object?>(path))).Failure;

    private Task<(RoomAnswer? Answer, string? Failure)> SendAsync(HttpMethod method, string path) =>
        SendAsync(method, path, content => content.ReadFromJsonAsync(RoomsJson.Default.RoomAnswer));

    private async Task<(T? Answer, string? Failure)> SendAsync<T>(HttpMethod method, string path, Func<HttpContent, Task<T?>> read)
        where T : class
    {
        try
        {
            using var request = new HttpRequestMessage(method, path);
            request.Headers.TryAddWithoutValidation("Authorization", $"Visitor {path.Split('/')[1]}"); // One visitor a room: by its connection each would look like one that uses all rooms together.
            using var response = await _http.SendAsync(request);
            if (response.StatusCode is HttpStatusCode.InternalServerError) Interlocked.Increment(ref _errors);
            if (!response.IsSuccessStatusCode)
                return (null, $"{method} /{path}: {(int)response.StatusCode} {await response.Content.ReadAsStringAsync()}");
            var answer = await read(response.Content);
            return (answer, answer is null ? $"{method} /{path}: empty answer" : null);
        }
        catch (Exception error) when (error is HttpRequestException or OperationCanceledException or System.Text.Json.JsonException or IOException)
        {
            return (null, $"{method} /{path}: {error.GetBaseException().Message}");
        }
    }

    private static async ValueTask<Stream> ConnectAsync(IReadOnlyList<Uri> routers, long first, CancellationToken cancellationToken)
    {
        for (var attempt = 0; ; attempt++)
        {
            var router = routers[(int)((first + attempt) % routers.Count)];
            var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            try
            {
                await socket.ConnectAsync(router.Host, router.Port, cancellationToken);
                return new NetworkStream(socket, ownsSocket: true);
            }
            catch (Exception error)
            {
                socket.Dispose();
                if (error is not SocketException || attempt == routers.Count - 1) throw;
            }
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

/// <summary>What Rooms answers.</summary>
internal sealed record RoomAnswer(string Room, long Value, string[]? Members, string Shard, string Version, string? Incarnation);

[JsonSourceGenerationOptions(System.Text.Json.JsonSerializerDefaults.Web)]
[JsonSerializable(typeof(RoomAnswer))]
internal sealed partial class RoomsJson : JsonSerializerContext;

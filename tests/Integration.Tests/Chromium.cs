using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net.WebSockets;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace ShardCloud.Integration.Tests;

/// <summary>One page in a headless Chromium, by the DevTools protocol: what a real browser does with its WebSocket.</summary>
/// <remarks>The few calls that are needed; the package that would do it unpacks to 786 MB.</remarks>
internal sealed class Chromium : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly Process _process;
    private readonly DirectoryInfo _profile;
    private readonly ClientWebSocket _socket;
    private readonly ConcurrentDictionary<int, TaskCompletionSource<JsonNode>> _calls = new();
    private readonly Task _receiving;
    private string? _session;
    private int _lastCall;

    private Chromium(Process process, DirectoryInfo profile, ClientWebSocket socket)
    {
        (_process, _profile, _socket) = (process, profile, socket);
        _receiving = ReceiveAsync();
    }

    /// <summary>Events of the page so far: method and parameters.</summary>
    public ConcurrentQueue<(string Method, JsonNode Parameters)> Events { get; } = new();

    /// <summary>Where Debian and most others put it; null where there is none.</summary>
    public static string? Program => ((string[])["chromium", "chromium-browser", "google-chrome"])
        .SelectMany(name => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator), (name, folder) => Path.Combine(folder, name)).FirstOrDefault(File.Exists);

    public static async Task<Chromium> OpenAsync(string address)
    {
        var profile = Directory.CreateTempSubdirectory("shardcloud-chromium-");
        var process = Process.Start(new ProcessStartInfo(Program!,
            ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-port=0", $"--user-data-dir={profile.FullName}", "about:blank"])
        { RedirectStandardError = true })!;
        var said = new List<string>();
        using var late = new CancellationTokenSource(Patience);
        while (await process.StandardError.ReadLineAsync(late.Token) is { } line)
        {
            said.Add(line);
            if (!line.StartsWith("DevTools listening on ", StringComparison.Ordinal)) continue;
            _ = process.StandardError.ReadToEndAsync(CancellationToken.None); // Or its pipe would fill.
            var socket = new ClientWebSocket();
            await socket.ConnectAsync(new Uri(line["DevTools listening on ".Length..]), late.Token);
            var browser = new Chromium(process, profile, socket);
            await browser.ShowAsync(address);
            return browser;
        }
        throw new InvalidOperationException($"Chromium did not start: {string.Join('\n', said)}");
    }

    /// <summary>Value of an expression in the page, as text.</summary>
    public async Task<string> EvaluateAsync(string expression)
    {
        var answer = await CallAsync("Runtime.evaluate", new JsonObject { ["expression"] = $"String({expression})", ["returnByValue"] = true });
        return answer["result"]?["value"]?.GetValue<string>() ?? throw new InvalidOperationException(answer.ToJsonString());
    }

    /// <summary>Waits until an expression in the page is true.</summary>
    public Task UntilAsync(string expression) => Cloud.UntilAsync(async () => await EvaluateAsync(expression) == "true", expression);

    public async ValueTask DisposeAsync()
    {
        _process.Kill(entireProcessTree: true);
        await _process.WaitForExitAsync();
        await _receiving.WaitAsync(Patience).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _socket.Dispose();
        _process.Dispose();
        _profile.Delete(recursive: true);
    }

    private async Task ShowAsync(string address)
    {
        var target = await CallAsync("Target.createTarget", new JsonObject { ["url"] = "about:blank" });
        var attached = await CallAsync("Target.attachToTarget", new JsonObject { ["targetId"] = target["targetId"]!.GetValue<string>(), ["flatten"] = true });
        _session = attached["sessionId"]!.GetValue<string>();
        await CallAsync("Network.enable", []);
        await CallAsync("Runtime.enable", []);
        await CallAsync("Page.navigate", new JsonObject { ["url"] = address });
    }

    private async Task<JsonNode> CallAsync(string method, JsonObject parameters)
    {
        var id = Interlocked.Increment(ref _lastCall);
        var call = _calls[id] = new TaskCompletionSource<JsonNode>(TaskCreationOptions.RunContinuationsAsynchronously);
        var message = new JsonObject { ["id"] = id, ["method"] = method, ["params"] = parameters };
        if (_session is { } session) message["sessionId"] = session;
        await _socket.SendAsync(JsonSerializer.SerializeToUtf8Bytes(message), WebSocketMessageType.Text, true, CancellationToken.None);
        return await call.Task.WaitAsync(Patience);
    }

    private async Task ReceiveAsync()
    {
        var message = new MemoryStream();
        var buffer = new byte[16 * 1024];
        while (true)
        {
            var part = await _socket.ReceiveAsync(buffer.AsMemory(), CancellationToken.None);
            if (part.MessageType is WebSocketMessageType.Close) return;
            message.Write(buffer, 0, part.Count);
            if (!part.EndOfMessage) continue;
            var node = JsonNode.Parse(message.GetBuffer().AsSpan(0, (int)message.Length))!;
            message.SetLength(0);
            if (node["id"] is { } id && _calls.TryRemove(id.GetValue<int>(), out var call)) call.SetResult(node["result"] ?? node);
            else if (node["method"] is { } method) Events.Enqueue((method.GetValue<string>(), node["params"]!));
        }
    }
}

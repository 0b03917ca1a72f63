using System.Buffers;
using System.Buffers.Text;
using System.Globalization;
using System.IO.Pipelines;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Threading.Channels;
using ShardCloud.ShardRuntime.Sockets.Legs;
using ShardCloud.ShardRuntime.Tests.Hosting;

namespace ShardCloud.ShardRuntime.Tests.Sockets;

/// <summary>A frame as a test sees it.</summary>
internal readonly record struct Frame(LegFrameKind Kind, long Number, string Text);

/// <summary>One leg as a carrier dials it: real sockets, the frames by hand.</summary>
internal sealed class TestLeg : IAsyncDisposable
{
    public static readonly TimeSpan Deadline = TimeSpan.FromSeconds(15);

    private readonly HttpMessageInvoker _client;
    private readonly HttpResponseMessage _answer;
    private readonly Stream? _stream;
    private readonly Channel<Frame> _frames = Channel.CreateUnbounded<Frame>();
    private readonly CancellationTokenSource _over = new();
    private readonly Task _reading = Task.CompletedTask;

    private TestLeg(HttpMessageInvoker client, HttpResponseMessage answer, Stream? stream)
    {
        (_client, _answer, _stream) = (client, answer, stream);
        if (stream is not null) _reading = ReadAsync(stream);
    }

    public HttpStatusCode Status => _answer.StatusCode;

    public LegAttached? Attached => LegAttached.FromHeader(HeaderOf("X-Shard-Socket"));

    public string HeaderOf(string name) => _answer.Headers.TryGetValues(name, out var values) ? string.Join(',', values) : "";

    /// <summary>Ids and verifiers as carriers make them.</summary>
    public static string NewId() => Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(16));

    public static string VerifierOf(string secret) => Base64Url.EncodeToString(SHA256.HashData(Encoding.UTF8.GetBytes(secret)));

    public static LegDial NewDial() => new(NewId(), 1, DialFlags.None, 0, VerifierOf("secret"));

    public static async Task<TestLeg> DialAsync(TestMember member, string path, LegDial dial, Epoch epoch, params (string Name, string Value)[] headers)
    {
        var client = new HttpMessageInvoker(new SocketsHttpHandler { UseProxy = false });
        var request = new HttpRequestMessage(HttpMethod.Connect, member.Shard.MemberAddress + path) { Version = HttpVersion.Version20, VersionPolicy = HttpVersionPolicy.RequestVersionExact };
        request.Headers.Protocol = LegDial.Protocol;
        request.Headers.Add("X-Shard-Token", member.Token());
        request.Headers.Add("X-Shard-To", string.Create(CultureInfo.InvariantCulture, $"{member.Self.Value} {epoch.Value} 1"));
        request.Headers.Add("X-Shard-Client", "203.0.113.7 https");
        request.Headers.Add("X-Shard-Socket", dial.ToHeader());
        foreach (var (name, value) in headers) request.Headers.TryAddWithoutValidation(name, value);
        using var deadline = new CancellationTokenSource(Deadline);
        var answer = await client.SendAsync(request, deadline.Token);
        return new TestLeg(client, answer, answer.IsSuccessStatusCode ? await answer.Content.ReadAsStreamAsync(deadline.Token) : null);
    }

    public Task<string> BodyAsync() => _answer.Content.ReadAsStringAsync();

    public Task SendAsync(long number, string text) => WriteAsync(LegFrameKind.Text, number, text);

    public async Task WriteAsync(LegFrameKind kind, long number, string payload = "")
    {
        var buffer = new ArrayBufferWriter<byte>();
        LegFrame.Write(buffer, kind, number, Encoding.UTF8.GetBytes(payload));
        await _stream!.WriteAsync(buffer.WrittenMemory);
        await _stream.FlushAsync();
    }

    /// <summary>The next frame; null: the leg ended.</summary>
    public async Task<Frame?> NextAsync()
    {
        using var deadline = new CancellationTokenSource(Deadline);
        return await _frames.Reader.WaitToReadAsync(deadline.Token) && _frames.Reader.TryRead(out var frame) ? frame : null;
    }

    /// <summary>A frame, if one is here already.</summary>
    public Frame? Peek() => _frames.Reader.TryPeek(out var frame) ? frame : null;

    /// <summary>Ends the leg without a word.</summary>
    public void Break()
    {
        _over.Cancel();
        _answer.Dispose();
        _client.Dispose();
    }

    public async ValueTask DisposeAsync()
    {
        Break();
        await _reading;
        _over.Dispose();
    }

    private async Task ReadAsync(Stream stream)
    {
        try
        {
            var reader = PipeReader.Create(stream);
            while (true)
            {
                var read = await reader.ReadAsync(_over.Token);
                var rest = read.Buffer;
                while (LegFrame.TryRead(ref rest, 1 << 20, out var frame)) _frames.Writer.TryWrite(new Frame(frame.Kind, frame.Number, Encoding.UTF8.GetString(frame.Payload)));
                reader.AdvanceTo(rest.Start, rest.End);
                if (read.IsCompleted) break;
            }
        }
        catch (Exception error) when (error is IOException or OperationCanceledException or HttpRequestException or ObjectDisposedException)
        {
            // Lost: the same to the test as ended.
        }
        _frames.Writer.TryComplete();
    }
}

using System.Buffers;
using System.Collections.Concurrent;
using System.IO.Pipelines;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.DependencyInjection;
using ShardCloud.Contracts;
using ShardCloud.ShardRuntime.Proxy;
using ShardCloud.ShardRuntime.Sockets.Legs;
using ShardCloud.ShardRuntime.Tests.Hosting;

namespace ShardCloud.ShardRuntime.Tests.Sockets.Carrier;

/// <summary>What the owners of a <see cref="TestCluster"/> know of sockets, as if it were in the endpoint's document: it survives moves and crashes.</summary>
/// <remarks>An owner for the carrier's tests: it speaks the frames and echoes, and can be told to be slow, silent, rude or gone. The real one is tested on its own.</remarks>
public sealed class TestSockets
{
    internal ConcurrentDictionary<string, TestConnection> Connections { get; } = new();

    /// <summary>Messages that owners took, in order, over all connections.</summary>
    internal ConcurrentQueue<string> Taken { get; } = new();

    /// <summary>Runs before a message is taken; a test can hold it up.</summary>
    internal Func<TestConnection, Task> BeforeTake { get; set; } = _ => Task.CompletedTask;

    /// <summary>Answers a dial instead of attaching it; true: it did.</summary>
    internal Func<HttpContext, Task<bool>> Refuse { get; set; } = _ => Task.FromResult(false);

    /// <summary>Messages are echoed.</summary>
    internal bool Echoes { get; set; } = true;

    /// <summary>The connections survive without a leg (resume token).</summary>
    internal bool AreResumable { get; set; }

    /// <summary>What the application selects.</summary>
    internal string? Protocol { get; set; }

    /// <summary>The one connection of a test with one client.</summary>
    internal TestConnection Only => Connections.Values.Single();

    internal Action<IServiceCollection> On(TestOwner owner) => services => services.AddSingleton<IStartupFilter>(owner);
}

/// <summary>One connection at its owners.</summary>
internal sealed class TestConnection
{
    public readonly SemaphoreSlim Turn = new(1, 1);
    public readonly List<(long Number, LegFrameKind Kind, byte[] Payload)> Unconfirmed = [];
    public readonly TaskCompletionSource<(LegFrameKind Kind, long Code, string Reason)> Ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    public long LastIn, LastOut;
    public int Attempt, Legs;
    public string? Verifier;
    public Stream? Leg;
    public IHeaderDictionary Headers = new HeaderDictionary();

    public bool IsConfirmed => Unconfirmed.Count == 0;

    /// <summary>As many messages of this size as may be under way.</summary>
    public const int BigBytes = 60_000, BigInFlight = 4;

    /// <summary>Sends messages as an owner may: never more than the bound in flight.</summary>
    public async Task SendBigAsync(int messages)
    {
        for (var i = 0; i < messages; i++)
        {
            await Eventually.TrueAsync(() => Unconfirmed.Count < BigInFlight || Ended.Task.IsCompleted, "there is room in flight");
            if (Ended.Task.IsCompleted) return;
            await SendAsync(LegFrameKind.Binary, new byte[BigBytes]);
        }
    }

    /// <summary>Sends a message to the client, over the present leg if there is one.</summary>
    public async Task SendAsync(LegFrameKind kind, byte[] payload)
    {
        await Turn.WaitAsync();
        try
        {
            await SendInTurnAsync(kind, payload);
        }
        finally
        {
            Turn.Release();
        }
    }

    /// <summary>Writes any frame to the present leg.</summary>
    public async Task FrameAsync(LegFrameKind kind, long number, byte[]? payload = null)
    {
        await Turn.WaitAsync();
        try
        {
            await Leg!.WriteAsync(LegFrame.Of(kind, number, payload ?? []));
        }
        finally
        {
            Turn.Release();
        }
    }

    public async Task SendInTurnAsync(LegFrameKind kind, byte[] payload)
    {
        Unconfirmed.Add((++LastOut, kind, payload));
        if (Leg is null) return;
        try
        {
            await Leg.WriteAsync(LegFrame.Of(kind, LastOut, payload));
        }
        catch (Exception cause) when (cause is IOException or OperationCanceledException or InvalidOperationException)
        {
            Leg = null; // The next leg gets it.
        }
    }
}

/// <summary>Takes the dials that reach one member's listener.</summary>
public sealed class TestOwner(TestSockets sockets) : IStartupFilter
{
    /// <summary>Set once the member has started; a dial before it is refused.</summary>
    public TestMember? Member { get; set; }

    public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
    {
        app.Use(after => context =>
            context.Features.Get<IHttpExtendedConnectFeature>() is { IsExtendedConnect: true, Protocol: LegDial.Protocol } feature ? AttachAsync(context, feature) : after(context));
        next(app);
    };

    private async Task AttachAsync(HttpContext context, IHttpExtendedConnectFeature feature)
    {
        var arrival = new Arrival(context);
        var entry = EntryView.Of(((IMapView)Member!).Current, TestCluster.Room.KeyHash);
        var isMine = entry.Owner == Member!.Self && arrival.NamedTo == Member.Self && arrival.NamedEpoch == entry.Epoch && Member.IsValid;
        if (!isMine && arrival.RawTarget.StartsWith("/rooms/", StringComparison.Ordinal))
        {
            context.Response.StatusCode = Member.IsValid ? 421 : 503;
            context.Response.Headers[ShardHeaders.Entry] = entry.ToHeader();
            return;
        }
        if (await sockets.Refuse(context)) return;

        var dial = LegDial.FromHeader(context.Request.Headers[ShardHeaders.Socket].ToString())!.Value;
        var connection = sockets.Connections.GetOrAdd(dial.Connection, _ => new TestConnection { Verifier = dial.Verifier });
        if (connection.Verifier != dial.Verifier)
        {
            context.Response.StatusCode = 403;
            return;
        }
        Stream leg;
        await connection.Turn.WaitAsync();
        try
        {
            if (dial.Attempt < connection.Attempt && !sockets.AreResumable) throw new InvalidOperationException($"Dial {dial.Attempt} after {connection.Attempt}.");
            connection.Attempt = dial.Attempt;
            connection.Legs++;
            connection.Headers = new HeaderDictionary(context.Request.Headers.ToDictionary(h => h.Key, h => h.Value, StringComparer.OrdinalIgnoreCase));
            context.Response.Headers[ShardHeaders.Socket] = new LegAttached(connection.LastIn, sockets.AreResumable).ToHeader();
            context.Response.Headers.SetCookie = "seat=7";
            if (sockets.Protocol is { } protocol) context.Response.Headers.SecWebSocketProtocol = protocol;
            leg = await feature.AcceptAsync();
            connection.Leg = leg;
            connection.Unconfirmed.RemoveAll(o => o.Number <= dial.LastOut);
            foreach (var (number, kind, payload) in connection.Unconfirmed) await leg.WriteAsync(LegFrame.Of(kind, number, payload));
        }
        finally
        {
            connection.Turn.Release();
        }
        try
        {
            await ReadAsync(PipeReader.Create(leg), leg, connection);
        }
        catch (Exception cause) when (cause is IOException or OperationCanceledException or InvalidOperationException)
        {
            // The carrier, or this member, went away.
        }
    }

    private async Task ReadAsync(PipeReader reader, Stream leg, TestConnection connection)
    {
        while (true)
        {
            var read = await reader.ReadAsync();
            var buffer = read.Buffer;
            while (LegFrame.TryRead(ref buffer, 2 * 1024 * 1024, out var frame))
            {
                if (frame.Kind is LegFrameKind.Close or LegFrameKind.Gone)
                {
                    connection.Ended.TrySetResult((frame.Kind, frame.Number, Encoding.UTF8.GetString(frame.Payload)));
                    if (frame.Kind is LegFrameKind.Close) await leg.WriteAsync(LegFrame.Of(LegFrameKind.Close, frame.Number, frame.Payload.ToArray()));
                    return;
                }
                await sockets.BeforeTake(connection);
                await connection.Turn.WaitAsync();
                try
                {
                    if (connection.Leg != leg) return; // Moved, or replaced: what comes now counts for nothing.
                    if (frame.Kind is LegFrameKind.Confirm) connection.Unconfirmed.RemoveAll(o => o.Number <= frame.Number);
                    else if (frame.Number > connection.LastIn) await TakeAsync(leg, connection, frame);
                }
                finally
                {
                    connection.Turn.Release();
                }
            }
            reader.AdvanceTo(buffer.Start, buffer.End);
            if (read.IsCompleted) return;
        }
    }

    private async Task TakeAsync(Stream leg, TestConnection connection, LegFrame frame)
    {
        connection.LastIn = frame.Number;
        var payload = frame.Payload.ToArray();
        if (payload.Length < 100) sockets.Taken.Enqueue(Encoding.UTF8.GetString(payload));
        if (sockets.Echoes) await connection.SendInTurnAsync(frame.Kind, payload);
        await leg.WriteAsync(LegFrame.Of(LegFrameKind.Confirm, frame.Number, []));
    }

    /// <summary>Steps 7 and 8 of a handoff: no further message is taken, then Moved.</summary>
    public async Task MoveAsync(MapVersion version)
    {
        foreach (var connection in sockets.Connections.Values)
        {
            await connection.Turn.WaitAsync();
            try
            {
                if (connection.Leg is not { } leg) continue;
                connection.Leg = null;
                await leg.WriteAsync(LegFrame.Of(LegFrameKind.Moved, version.Value, []));
            }
            catch (Exception cause) when (cause is IOException or OperationCanceledException or InvalidOperationException)
            {
                // Its client has just left.
            }
            finally
            {
                connection.Turn.Release();
            }
        }
    }
}

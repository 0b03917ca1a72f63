using System.Buffers.Text;
using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Connections;
using Microsoft.AspNetCore.SignalR;
using ShardCloud.ShardRuntime.Sockets.Legs;
using ShardCloud.ShardRuntime.Sockets.Owner;

namespace ShardCloud.ShardRuntime.Sockets.Hubs;

/// <summary>Takes the place of what <c>MapHub</c> mapped: the hub stays as it is, and its connection is a leg.</summary>
/// <remarks>
/// SignalR's own end of a connection lives in one process: the token of its negotiation is known there alone. Here the token is known nowhere: a connection's id is a hash of it, the
/// same wherever it is asked for, so a client may negotiate at one shard and connect at the next. WebSockets are the one transport that is offered.
/// </remarks>
internal sealed class HubEndpoints(IServiceProvider services, HubHeartbeat heartbeat)
{
    private const int TokenBytes = 16;

    private readonly ConcurrentDictionary<Type, ConnectionHandler> _hubs = new();

    /// <summary>Looks at what routing has found; authentication and authorisation follow as for any endpoint.</summary>
    public void Replace(HttpContext context)
    {
        if (context.GetEndpoint() is not { } found || found.Metadata.GetMetadata<HubMetadata>() is not { } hub) return;
        if (found.Metadata.GetMetadata<NegotiateMetadata>() is not null) context.SetEndpoint(new Endpoint(NegotiateAsync, found.Metadata, found.DisplayName));
        else if (context.Features.Get<LegUpgrade>() is not null) context.SetEndpoint(new Endpoint(other => RunAsync(other, HubOf(hub.HubType)), found.Metadata, found.DisplayName));
    }

    private static Task NegotiateAsync(HttpContext context)
    {
        var token = Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(TokenBytes));
        return context.Response.WriteAsJsonAsync(new Negotiation(1, IdOf(token), token, [new Transport("WebSockets", ["Text", "Binary"])]), HubJson.Default.Negotiation);
    }

    private async Task RunAsync(HttpContext context, ConnectionHandler hub)
    {
        var run = context.Features.Get<LegUpgrade>()!.Run!;
        var connection = context.ShardConnection();
        var records = new HubRecords(connection, run.Endpoint);
        var record = await records.FindAsync(context.RequestAborted);
        run.Tools.Absences.Ends(run.Endpoint, connection.Id);
        if (record is null && connection.IsResumed && run.Endpoint == default)
        {
            context.Response.StatusCode = StatusCodes.Status410Gone; // Without an endpoint nothing was kept: the client connects anew.
            return;
        }
        var socket = (LegWebSocket)await context.WebSockets.AcceptWebSocketAsync();
        var token = context.Request.Query["id"].ToString();
        await using var leg = new HubLink(token.Length > 0 ? IdOf(token) : connection.Id, context);
        heartbeat.Add(leg);
        try
        {
            await new HubRun(socket, leg, records, record).RunAsync(hub, socket.Leg.Over);
        }
        finally
        {
            heartbeat.Remove(leg);
        }
    }

    private ConnectionHandler HubOf(Type hub) => _hubs.GetOrAdd(hub, type => (ConnectionHandler)services.GetRequiredService(typeof(HubConnectionHandler<>).MakeGenericType(type)));

    private static string IdOf(string token) => Base64Url.EncodeToString(SHA256.HashData(Encoding.UTF8.GetBytes("hub " + token)))[..LegDial.IdLength];
}

/// <summary>Answer to a client that asks how to connect. Source: SignalR's TransportProtocols.md, version 1.</summary>
internal sealed record Negotiation(int NegotiateVersion, string ConnectionId, string ConnectionToken, Transport[] AvailableTransports);

/// <summary>One way to connect.</summary>
internal sealed record Transport([property: JsonPropertyName("transport")] string Name, string[] TransferFormats);

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web)]
[JsonSerializable(typeof(Negotiation))]
internal sealed partial class HubJson : JsonSerializerContext;

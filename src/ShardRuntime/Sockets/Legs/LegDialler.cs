using System.Net;
using ShardCloud.Contracts;
using ShardCloud.Identity;
using ShardCloud.ShardRuntime.Proxy;

namespace ShardCloud.ShardRuntime.Sockets.Legs;

/// <summary>How a dial ended.</summary>
internal enum DialOutcome
{
    /// <summary>The owner has the connection; the leg's stream is open.</summary>
    Attached,

    /// <summary>421 or 503 with an entry: nothing ran there.</summary>
    Refused,

    /// <summary>The application, or the receiver in its name, refused.</summary>
    Answered,

    /// <summary>No connection, or it ended before an answer.</summary>
    Lost,
}

/// <summary>Answer to a dial.</summary>
/// <param name="Outcome">How it ended.</param>
/// <param name="Attached">What the owner knows of the connection.</param>
/// <param name="Protocol">Subprotocol that the application chose; null for none.</param>
/// <param name="Answer">An application's refusal; the caller disposes it.</param>
internal readonly record struct DialAnswer(DialOutcome Outcome, LegAttached Attached = default, string? Protocol = null, HttpResponseMessage? Answer = null);

/// <summary>Dials the owner of a socket: extended CONNECT (RFC 8441) on its member listener.</summary>
internal sealed class LegDialler(LegPool pool, ITokenSource tokens, Reachability reachability, TimeProvider time)
{
    private static readonly string[] OfTheHandshake = ["Sec-WebSocket-Key", "Sec-WebSocket-Extensions", Protocols];
    private const string Protocols = "Sec-WebSocket-Protocol";

    public ValueTask<string> TokenAsync(CancellationToken cancellationToken) => tokens.GetTokenAsync(Audiences.Members, cancellationToken);

    /// <summary>Dials once; ends early when the wire is abandoned.</summary>
    /// <param name="context">The client's upgrade request.</param>
    /// <param name="leg">Whom to dial; holds the entry of a refusal afterwards.</param>
    /// <param name="dial">The connection.</param>
    /// <param name="protocols">Subprotocols that the client offers the application.</param>
    /// <param name="isFirst">The client waits for the answer: the application's headers are put into the response.</param>
    /// <param name="wire">The leg to be.</param>
    public async Task<DialAnswer> DialAsync(HttpContext context, Leg leg, LegDial dial, string protocols, bool isFirst, LegWire wire)
    {
        HttpResponseMessage? answer = null;
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Connect, (Uri?)null) { Version = HttpVersion.Version20, VersionPolicy = HttpVersionPolicy.RequestVersionExact };
            await leg.TransformRequestAsync(context, request, leg.Address, wire.Dialling);
            foreach (var name in OfTheHandshake) request.Headers.Remove(name);
            if (protocols.Length > 0) request.Headers.TryAddWithoutValidation(Protocols, protocols);
            request.Headers.Protocol = LegDial.Protocol;
            request.Headers.TryAddWithoutValidation(ShardHeaders.Socket, dial.ToHeader());
            answer = await pool.Invoker.SendAsync(request, wire.Dialling);
            reachability.Answered(leg.Target);

            if (leg.TakesRefusal(answer)) return new DialAnswer(DialOutcome.Refused);
            var attached = answer.StatusCode is HttpStatusCode.OK && answer.Headers.TryGetValues(ShardHeaders.Socket, out var said) ? LegAttached.FromHeader(string.Join(',', said)) : null;
            answer.Headers.Remove(ShardHeaders.Socket); // Not for the client, and once in its response a dictionary for it would live as long as the socket.
            if (isFirst)
            {
                context.Response.StatusCode = (int)answer.StatusCode;
                await leg.TransformResponseAsync(context, answer, wire.Dialling);
            }
            if (attached is null)
            {
                var refused = answer;
                answer = null;
                return new DialAnswer(DialOutcome.Answered, Answer: refused);
            }
            var protocol = answer.Headers.TryGetValues(Protocols, out var chosen) ? string.Join(',', chosen) : null;
            if (isFirst) context.Response.Headers.Remove(Protocols); // The handshake writes it.
            Forget(request, answer);
            wire.Attach(answer, time.GetElapsedTime(0));
            answer = null;
            return new DialAnswer(DialOutcome.Attached, attached.Value, protocol);
        }
        catch (Exception cause) when (cause is HttpRequestException or IOException or OperationCanceledException)
        {
            // A reset of the one stream says nothing against the member, and neither does a dial that was given up.
            if (!wire.IsAbandoned && !MemberLegs.IsStreamReset(cause)) reachability.Failed(leg.Target);
            return new DialAnswer(DialOutcome.Lost);
        }
        finally
        {
            answer?.Dispose();
        }
    }

    /// <summary>A leg lives for hours, and its stream holds both messages: what the dial said need not live as long.</summary>
    private static void Forget(HttpRequestMessage request, HttpResponseMessage answer)
    {
        answer.RequestMessage = null;
        answer.Headers.Clear();
        request.Headers.Clear();
        request.RequestUri = null;
    }
}

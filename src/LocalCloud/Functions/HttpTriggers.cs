using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace ShardCloud.LocalCloud.Functions;

/// <summary>Maps HTTP functions to routes and carries requests through envelopes.</summary>
internal sealed class HttpTriggers(FunctionCaller caller, string? hostKey)
{
    public void Map(IEndpointRouteBuilder app, FunctionIndex functions, string routePrefix)
    {
        foreach (var function in functions.All.Where(f => f.Kind == TriggerKind.Http))
        {
            var pattern = routePrefix.Length == 0 ? "/" + function.Route : $"/{routePrefix}/{function.Route}";
            RequestDelegate serve = context => ServeAsync(function, context);
            if (function.Methods is { Count: > 0 } methods) app.MapMethods(pattern, methods, serve);
            else app.Map(pattern, serve);
        }
    }

    private async Task ServeAsync(FunctionDefinition function, HttpContext context)
    {
        if (function.NeedsKey && !HasKey(context.Request))
        {
            context.Response.StatusCode = StatusCodes.Status401Unauthorized;
            return;
        }

        if (context.Request.ContentLength is null && context.Request.Headers.TransferEncoding.Count > 0)
        {
            // The real host loses a body without a length and says nothing. A refusal shows the mistake while it is cheap.
            context.Response.StatusCode = StatusCodes.Status411LengthRequired;
            await context.Response.WriteAsync("The Functions host drops a body that comes without Content-Length (chunked). Send the length.").ConfigureAwait(false);
            return;
        }

        var request = await Envelope.HttpRequestAsync(context.Request, context.RequestAborted).ConfigureAwait(false);
        HandlerAnswer answer;
        try
        {
            answer = await caller.CallAsync(function, request, metadata: null, context.RequestAborted).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            return; // nobody is there to be answered
        }
        catch (ShardCloudException e)
        {
            answer = HandlerAnswer.Failed(e.Message);
        }

        await ReplyAsync(function, answer, context.Response).ConfigureAwait(false);
    }

    private static async Task ReplyAsync(FunctionDefinition function, HandlerAnswer answer, HttpResponse response)
    {
        if (answer.Failure is not null)
        {
            response.StatusCode = StatusCodes.Status500InternalServerError; // the real host says no more to the outside
            return;
        }

        if (function.HttpOutput is null) return;
        var (value, bytes) = answer.Output(function.HttpOutput);
        if (value.ValueKind != JsonValueKind.Object)
        {
            if (bytes is not null) await response.Body.WriteAsync(bytes).ConfigureAwait(false);
            else if (value.ValueKind == JsonValueKind.String) await response.WriteAsync(value.GetString()!).ConfigureAwait(false);
            else if (value.ValueKind is not (JsonValueKind.Undefined or JsonValueKind.Null)) await response.WriteAsync(value.GetRawText()).ConfigureAwait(false);
            return;
        }

        if (HandlerAnswer.Find(value, "statusCode") is { ValueKind: JsonValueKind.String or JsonValueKind.Number } status)
            response.StatusCode = int.Parse(status.ToString(), CultureInfo.InvariantCulture);
        if (HandlerAnswer.Find(value, "headers") is { ValueKind: JsonValueKind.Object } headers)
            foreach (var header in headers.EnumerateObject()) response.Headers[header.Name] = header.Value.ToString();
        var body = HandlerAnswer.Find(value, "body");
        if (body.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null) return;
        var text = body.ValueKind == JsonValueKind.String ? body.GetString()! : body.GetRawText();
        if (text.Length > 0) await response.Body.WriteAsync(Encoding.UTF8.GetBytes(text)).ConfigureAwait(false);
    }

    private bool HasKey(HttpRequest request)
    {
        if (hostKey is null) return true;
        var given = request.Headers.TryGetValue("x-functions-key", out var header) ? header.ToString() : request.Query["code"].ToString();
        return CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(given), Encoding.UTF8.GetBytes(hostKey));
    }
}

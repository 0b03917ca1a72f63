using System.Text.Json;
using ShardCloud.ShardRuntime.Proxy;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime.Sidecar.StateApi;

/// <summary>
/// <c>GET HANDLE</c>: all fields. <c>GET HANDLE/TYPE/NAME</c>: one field. <c>POST HANDLE/TYPE/NAME/OPERATION</c>: changes it. <c>?map=a&amp;map=b</c>: the field is in map <c>b</c> in map <c>a</c>.
/// </summary>
internal sealed class StateRoutes(StateCalls calls, TimeProvider time)
{
    private static readonly JsonDocumentOptions Json = new() { MaxDepth = 8 };

    public async Task AnswerAsync(HttpContext context)
    {
        var segments = Segments(context);
        var operation = segments.Length == 4 ? segments[3] : null;
        if (segments.Length is not (1 or 3 or 4)) throw NotFound($"There is no '{context.Request.Path}'.");
        var wanted = operation is null ? HttpMethods.Get : HttpMethods.Post;
        if (context.Request.Method != wanted)
        {
            context.Response.Headers.Allow = wanted;
            throw new ShardCloudException(ErrorCodes.MethodNotAllowed, $"{context.Request.Method} does not fit here.", "GET reads a document or a field, POST does an operation on a field.");
        }

        using var body = operation is null ? null : await ReadAsync(context);
        var answer = calls.Find(segments[0]).Do(state => segments.Length == 1 ? Document(state) : Field(state, context, segments, operation, body));
        context.Response.ContentType = "application/json";
        context.Response.ContentLength = answer.Length;
        await context.Response.Body.WriteAsync(answer, context.RequestAborted);
    }

    private static byte[] Document(EndpointState state) => JsonValues.Written(json =>
    {
        json.WriteString("endpoint", state.Endpoint.Value);
        json.WriteStartObject("fields");
        FieldTypes.WriteFields(json, state.Fields, name => !name.StartsWith(SystemFields.Prefix, StringComparison.Ordinal));
        json.WriteEndObject();
    });

    private byte[] Field(EndpointState state, HttpContext context, string[] segments, string? operation, JsonDocument? body)
    {
        var type = FieldTypes.Find(segments[1]) ?? throw NotFound($"There is no type '{segments[1]}'. Types: {string.Join(", ", FieldTypes.All.Select(known => known.Name))}.");
        var place = new FieldPlace(state, [.. context.Request.Query["map"].OfType<string>()], segments[2]);
        if (operation is null)
        {
            place.Expect(type);
            return JsonValues.Written(json => type.Write(json, place.Parent, place.Name));
        }

        var change = type.Operations.FirstOrDefault(known => known.Name == operation)
            ?? throw NotFound($"A {type.Name} has no operation '{operation}', but {string.Join(", ", type.Operations.Select(known => known.Name))}.");
        bool changed;
        try
        {
            changed = change.Run(place, new OperationArguments(body?.RootElement, change.Members, time));
        }
        catch (Exception error) when (error is ArgumentException or OverflowException)
        {
            throw new ShardCloudException(ErrorCodes.BadValue, error.Message, "See docs/state.md for what the type takes.", error);
        }
        return JsonValues.Written(json =>
        {
            json.WriteBoolean("changed", changed);
            if (type.HasOneValue) type.WriteContent(json, place.Parent, place.Name);
        });
    }

    /// <summary>From the path as it came: a name may hold an escaped slash.</summary>
    private static string[] Segments(HttpContext context)
    {
        var path = Arrival.RawTargetOf(context).Split('?')[0];
        return path.StartsWith(StateServer.StatePath + "/", StringComparison.Ordinal) ? [.. path[(StateServer.StatePath.Length + 1)..].Split('/').Select(Uri.UnescapeDataString)] : [];
    }

    private static async Task<JsonDocument?> ReadAsync(HttpContext context)
    {
        using var bytes = new MemoryStream();
        await context.Request.Body.CopyToAsync(bytes, context.RequestAborted); // At most StateServer.BodyBytesMax.
        if (bytes.Length == 0) return null;
        if (!context.Request.HasJsonContentType()) throw new ShardCloudException(ErrorCodes.UnsupportedMediaType, $"The body is '{context.Request.ContentType}'.", "Send Content-Type: application/json.");
        try
        {
            var document = JsonDocument.Parse(bytes.ToArray(), Json);
            if (document.RootElement.ValueKind is JsonValueKind.Object) return document;
            document.Dispose();
        }
        catch (JsonException error)
        {
            throw new ShardCloudException(ErrorCodes.MalformedJson, $"The body cannot be read: {error.Message}", "Send one JSON object.", error);
        }
        throw new ShardCloudException(ErrorCodes.MalformedJson, "The body is not a JSON object.", "Send the operation's arguments as members of one object.");
    }

    private static ShardCloudException NotFound(string what) => new(ErrorCodes.NotFound, what, $"The paths are in {StateServer.DocumentPath} of this listener.");
}

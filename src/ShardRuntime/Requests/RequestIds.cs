using System.Buffers.Text;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Requests;

/// <summary>Gives each unsafe request the id under which its one execution is recorded.</summary>
/// <remarks>
/// The first member a client reaches decides: the client's <c>Idempotency-Key</c> (draft-ietf-httpapi-idempotency-key-header) when there is one,
/// else this incarnation's suffix and a counter. A call that a handler makes has an id made of the handler's own. Prefixes keep the kinds apart, so no client can guess its
/// way into another's record.
/// </remarks>
public sealed class RequestIds(ShardContext shard)
{
    /// <summary>Longest Idempotency-Key, in bytes of UTF-8.</summary>
    public const int KeyBytesMax = 120;

    private const string ClientPrefix = "k:";
    private const string Repeatable = "i:";
    private const string NestedPrefix = "n:";

    /// <summary>Bytes of the hash that stands for a handler's request in the ids of its calls: too many to meet another's by chance or by choice.</summary>
    private const int HashBytes = 18;

    private readonly string _prefix = $"r:{shard.Self.Value[(shard.Self.Value.IndexOf('~') + 1)..]}-";
    private long _counter;

    /// <summary>GET, HEAD, OPTIONS and TRACE (RFC 9110, 9.2.1): may run any number of times.</summary>
    public static bool IsSafe(string method) =>
        HttpMethods.IsGet(method) || HttpMethods.IsHead(method) || HttpMethods.IsOptions(method) || HttpMethods.IsTrace(method);

    /// <summary>True for an id that a client chose: it may ask again at any time, so its record is kept until it expires.</summary>
    public static bool IsClients(string id) => id.StartsWith(ClientPrefix, StringComparison.Ordinal);

    /// <summary>True for a change that may run again without harm: its answer is not recorded.</summary>
    public static bool IsRepeatable(string id) => id == Repeatable;

    /// <summary>True for an id whose record the callee may drop as soon as the first member has the answer: nobody asks again. Not so for a client's key, nor for a handler's call, which a later run of the handler makes again.</summary>
    public static bool IsOverWhenAnswered(string id) => !IsClients(id) && !IsNested(id);

    /// <summary>True for the id of a handler's call.</summary>
    public static bool IsNested(string id) => id.StartsWith(NestedPrefix, StringComparison.Ordinal);

    /// <summary>The id of a handler's call by its place among the handler's changing calls. A client's key is unique only within its endpoint, so the endpoint is part of it.</summary>
    public static string Nested(EndpointRequest parent, int ordinal) => string.Create(CultureInfo.InvariantCulture, $"{NestedPrefix}{HashOf($"{parent.Endpoint.Value}\0{parent.Id}")}-{ordinal}");

    /// <summary>The id of a handler's call by the key that the handler gave it.</summary>
    public static string Nested(EndpointRequest parent, string key) => $"{NestedPrefix}{HashOf($"{parent.Endpoint.Value}\0{parent.Id}\0{key}")}";

    /// <summary>The id of a call of this member's own to a built-in endpoint.</summary>
    public static string OfOwn(string method) => IsSafe(method) ? "" : Repeatable;

    /// <summary>The id of a request; empty for a safe one.</summary>
    /// <param name="context">The request.</param>
    /// <param name="given">By the member before; empty from a client.</param>
    /// <exception cref="ShardCloudException">SC5019: an Idempotency-Key that is empty or too long.</exception>
    public string Of(HttpContext context, string given)
    {
        var request = context.Request;
        if (IsSafe(request.Method)) return "";
        if (given.Length > 0) return given;
        if (!request.Headers.TryGetValue("Idempotency-Key", out var keys)) return Next();

        var key = keys.ToString();
        if (key.Length == 0 || Encoding.UTF8.GetByteCount(key) > KeyBytesMax)
            throw new ShardCloudException(ErrorCodes.MissingValue, $"The Idempotency-Key has {key.Length} characters; 1 to {KeyBytesMax} bytes are allowed.", "Send a UUID, for example.");
        return ClientPrefix + key;
    }

    /// <summary>The id of a call that no endpoint's handler makes; empty for a safe one.</summary>
    public string OfCall(string method) => IsSafe(method) ? "" : Next();

    private string Next() => string.Create(CultureInfo.InvariantCulture, $"{_prefix}{Interlocked.Increment(ref _counter)}");

    /// <summary>Stands for a text in an id.</summary>
    internal static string HashOf(string text) => Base64Url.EncodeToString(SHA256.HashData(Encoding.UTF8.GetBytes(text)).AsSpan(0, HashBytes));
}

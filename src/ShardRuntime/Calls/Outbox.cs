using System.Net.Mime;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using ShardCloud.Crdt;
using ShardCloud.ShardRuntime.Proxy;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime.Calls;

/// <summary>Calls to other endpoints that happen exactly when the handler's changes do: recorded with them, sent after they count, repeated until answered.</summary>
/// <remarks>
/// Each message takes effect once at its target, and those of one endpoint to one target in the order of their posting, whichever shards move or die. A handler that
/// throws or answers 5xx posts nothing. 2xx and 3xx end a message; a refusal (4xx) ends it too and sets it aside; anything else is repeated, for
/// <see cref="OutboxSettings.RepeatFor"/>, and then set aside. At endpoints of exclusive templates. docs/calls.md.
/// </remarks>
public sealed class Outbox
{
    private readonly DocumentTransaction _transaction;
    private readonly OutboxRules? _rules;
    private readonly EndpointId _endpoint;

    internal Outbox(EndpointId endpoint, DocumentTransaction transaction, OutboxRules? rules) => (_endpoint, _transaction, _rules) = (endpoint, transaction, rules);

    /// <summary>True once this handler has posted something.</summary>
    internal bool HasPosted { get; private set; }

    /// <summary>Messages that wait for their target's answer, in the order of their posting; those of this handler included.</summary>
    public IReadOnlyList<OutboxMessage> Waiting => OutboxMessage.WaitingIn(_transaction.Fields);

    /// <summary>Messages that were given up, oldest first: at most <see cref="OutboxMessage.SetAsideMax"/>, and 64 KiB of them; older ones are dropped.</summary>
    public IReadOnlyList<OutboxMessage> SetAside => OutboxMessage.SetAsideIn(_transaction.Fields);

    /// <summary>Records a POST of a body.</summary>
    /// <param name="path">Path of the target under one of the application's templates, e.g. <c>/inventory/7/take</c>; escaped.</param>
    /// <param name="body">Copied.</param>
    /// <param name="contentType">Of the body.</param>
    /// <exception cref="ShardCloudException">
    /// SC4017: the endpoint's outbox is full, or the message too large. SC3011: the endpoint is convergent. SC3005: the handler is a reader.
    /// SC1001, SC3006: the path names no endpoint.
    /// </exception>
    public void Post(string path, ReadOnlySpan<byte> body, string contentType = MediaTypeNames.Application.Octet)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(contentType);
        if (_rules is null)
            throw new ShardCloudException(ErrorCodes.OutboxNotExclusive, $"Endpoint '{_endpoint}' is convergent: two owners would send its messages twice and in two orders.", "Post from an endpoint of an exclusive template, or call with ShardClient.");
        var list = _transaction.List(SystemFields.Outbox);
        var target = ShardCalls.EndpointOf(_rules.Maps.Current, path);
        var message = new OutboxMessage(default, path, target, contentType, body.ToArray(), _rules.Time.GetUtcNow(), null).ToBytes();
        var waiting = list.Items.Sum(item => (long)item.AsBytes().Length);
        if (list.Count >= _rules.Settings.MessagesMax || waiting + message.Length > _rules.Settings.BytesMax || message.Length > OutboxMessage.BytesMax)
            throw new ShardCloudException(ErrorCodes.OutboxFull, $"A message of {message.Length} bytes to '{target}' does not fit the outbox of endpoint '{_endpoint}': {list.Count} messages with {waiting} bytes wait; {OutboxMessage.BytesMax} bytes a message, {_rules.Settings.MessagesMax} messages and {_rules.Settings.BytesMax} bytes are allowed.",
                "Retry later: they wait for their targets. Look for a target that does not answer, or send less at once.");
        list.Append(message);
        HasPosted = true;
    }

    /// <summary>Records a POST without a body.</summary>
    /// <exception cref="ShardCloudException">See <see cref="Post(string, ReadOnlySpan{byte}, string)"/>.</exception>
    public void Post(string path) => Post(path, default, "");

    /// <summary>Records a POST of JSON.</summary>
    /// <exception cref="ShardCloudException">See <see cref="Post(string, ReadOnlySpan{byte}, string)"/>.</exception>
    public void PostAsJson<T>(string path, T body, JsonTypeInfo<T> type) => Post(path, JsonSerializer.SerializeToUtf8Bytes(body, type), MediaTypeNames.Application.Json);

    /// <summary>Records a POST of JSON, with camelCase names.</summary>
    /// <exception cref="ShardCloudException">See <see cref="Post(string, ReadOnlySpan{byte}, string)"/>.</exception>
    public void PostAsJson<T>(string path, T body) => Post(path, JsonSerializer.SerializeToUtf8Bytes(body, JsonSerializerOptions.Web), MediaTypeNames.Application.Json);

    /// <summary>Drops what was given up, once it has been seen to.</summary>
    public void ClearSetAside() => _transaction.List(SystemFields.OutboxSetAside).Clear();
}

/// <summary>What an endpoint's outbox goes by.</summary>
internal sealed record OutboxRules(OutboxSettings Settings, IMapView Maps, TimeProvider Time);

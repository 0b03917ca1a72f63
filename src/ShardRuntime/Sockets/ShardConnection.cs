using System.Text;
using ShardCloud.Crdt;
using ShardCloud.ShardRuntime.Sockets.Connections;
using ShardCloud.ShardRuntime.Sockets.Legs;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime;

/// <summary>A client's connection within one change of its endpoint's state. It outlives owners: id, record and topics are part of that state. Do not use it after the handler has ended.</summary>
public sealed class ShardConnection
{
    private readonly HttpContext? _context;

    internal ShardConnection(EndpointState state, string id, HttpContext? context, bool isResumed) =>
        (State, Id, _context, IsResumed) = (state, id, context, isResumed);

    /// <summary>The same over all moves; 128 random bits, not a secret.</summary>
    public string Id { get; }

    /// <summary>The endpoint.</summary>
    public EndpointId Endpoint => State.Endpoint;

    /// <summary>True when the connection was attached before, here or at another owner.</summary>
    public bool IsResumed { get; }

    /// <summary>The client's upgrade request, as this owner got it: user, headers, query. To read; it is answered.</summary>
    /// <exception cref="InvalidOperationException">In <see cref="ShardSocket.Closed"/> of a connection that has no leg any more: <see cref="HasContext"/> is false. Keep what you need of it in <see cref="Record"/>.</exception>
    public HttpContext HttpContext => _context ?? throw new InvalidOperationException("The connection is no longer attached; keep what is needed of its request in its record.");

    /// <summary>True while the connection is attached.</summary>
    public bool HasContext => _context is not null;

    /// <summary>The endpoint's state: what the handler changes of it counts together with the message.</summary>
    public EndpointState State { get; }

    /// <summary>A few values that stay with the connection and that others can see.</summary>
    public ConnectionRecord Record => new(State, Id);

    /// <summary>The topics that it is subscribed to.</summary>
    public IReadOnlyCollection<string> Topics => [.. Map.Set(ConnectionRow.TopicsField).Items.Select(topic => topic.AsString())];

    private MapHandle Map => State.Sockets.Map(Id);

    /// <summary>Sends to this client, once what this change saw and did counts.</summary>
    /// <exception cref="ShardCloudException">SC4034: too much in one change.</exception>
    public void Send(SocketMessage message) => State.Send(Id, message);

    /// <summary>Closes behind what was sent. Messages that come in later are dropped.</summary>
    /// <param name="code">1000, or 3000 to 4999 for the application's own (RFC 6455, 7.4.2).</param>
    /// <param name="reason">For people; cut at 123 bytes of UTF-8.</param>
    public void Close(int code = 1000, string reason = "") => State.Close(Id, code, reason);

    /// <summary>From the next <see cref="EndpointState.Publish"/> on, messages of the topic come here.</summary>
    /// <exception cref="ShardCloudException">SC4035: too many topics, or too long a name.</exception>
    public void Subscribe(string topic)
    {
        ConnectionRecord.CheckName(topic, "topic");
        var topics = Map.Set(ConnectionRow.TopicsField);
        if (topics.Contains(topic)) return;
        if (topics.Count >= ConnectionLimits.TopicsMax) throw ConnectionErrors.RecordTooLarge($"{ConnectionLimits.TopicsMax} topics are allowed");
        topics.Add(topic);
    }

    /// <summary>No further messages of the topic.</summary>
    public void Unsubscribe(string topic) => Map.Set(ConnectionRow.TopicsField).Remove(topic);

    /// <summary>Cuts a reason at the bytes that a close frame has room for.</summary>
    internal static string Cut(string reason)
    {
        while (Encoding.UTF8.GetByteCount(reason) > LegFrame.ReasonBytesMax) reason = reason[..^(char.IsLowSurrogate(reason[^1]) && reason.Length > 1 ? 2 : 1)];
        return reason;
    }
}

/// <summary>Values of a connection, by name: 1 KiB in all, names of at most 64 bytes. Replicated with the endpoint.</summary>
public sealed class ConnectionRecord
{
    private readonly EndpointState _state;
    private readonly string _id;

    internal ConnectionRecord(EndpointState state, string id) => (_state, _id) = (state, id);

    /// <summary>A value; null: there is none, and setting null removes it.</summary>
    /// <exception cref="ShardCloudException">SC4035: over the bounds.</exception>
    public string? this[string name]
    {
        get => Values.Register(name) is { Kind: ValueKind.String } value ? value.AsString() : null;
        set
        {
            CheckName(name, "name");
            var record = _state.Sockets.Map(_id).Map(ConnectionRow.RecordField);
            if (value is null)
            {
                record.Remove(name);
                return;
            }
            record.Register(name).Set(value);
            var bytes = record.Keys.Sum(key => Encoding.UTF8.GetByteCount(key) + Encoding.UTF8.GetByteCount(record.Current.Register(key).AsString()));
            if (bytes > ConnectionLimits.RecordBytesMax) throw ConnectionErrors.RecordTooLarge($"{bytes} bytes, {ConnectionLimits.RecordBytesMax} are allowed");
        }
    }

    /// <summary>The names.</summary>
    public IReadOnlyCollection<string> Names => [.. Values.Keys];

    private OrMap Values => _state.Fields.Map(SystemFields.Connections).Map(_id).Map(ConnectionRow.RecordField);

    internal static void CheckName(string name, string what)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        var bytes = Encoding.UTF8.GetByteCount(name);
        if (bytes > ConnectionLimits.NameBytesMax) throw ConnectionErrors.RecordTooLarge($"a {what} of {bytes} bytes, {ConnectionLimits.NameBytesMax} are allowed");
    }
}

/// <summary>A connection as others see it.</summary>
public readonly struct ConnectionInfo
{
    private readonly EndpointState _state;

    internal ConnectionInfo(EndpointState state, string id) => (_state, Id) = (state, id);

    /// <summary>Its id.</summary>
    public string Id { get; }

    /// <summary>Its record.</summary>
    public ConnectionRecord Record => new(_state, Id);

    /// <summary>True when it is subscribed to the topic.</summary>
    public bool HasTopic(string topic) => _state.Fields.Map(SystemFields.Connections).Map(Id).Set(ConnectionRow.TopicsField).Contains(topic);
}

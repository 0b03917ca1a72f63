using System.Runtime.CompilerServices;
using ShardCloud.Crdt;
using ShardCloud.ShardRuntime.Calls;
using ShardCloud.ShardRuntime.Requests;
using ShardCloud.ShardRuntime.Sockets.Connections;

namespace ShardCloud.ShardRuntime.State;

/// <summary>The state of the endpoint that a request names, as one unit of work: changes and the recorded answer become durable together when the handler ends.</summary>
/// <remarks>
/// Named fields, each of one type; a field comes into being with its first change. All changes of a handler are one delta: every replica sees all
/// of them or none. A handler of GET, HEAD or OPTIONS sees an immutable document beside running writers and may not change it (SC3005). Other
/// handlers run one at a time for each endpoint. A handler that throws or answers 5xx changes nothing. Limits: names of 1 to 256 bytes that do not begin with <c>_shard.</c> (SC3002), 256 KiB
/// of changes in a request (SC3003), 512 KiB in all (SC3004), checked before anything counts. Not thread-safe; do not use it after the handler
/// has ended. The types, with examples: docs/state.md.
/// </remarks>
public sealed class EndpointState
{
    private ConnectionWork? _sockets;
    private Outbox? _outbox;

    internal EndpointState(EndpointId endpoint, DocumentTransaction transaction) => (Endpoint, Transaction) = (endpoint, transaction);

    /// <summary>The endpoint.</summary>
    public EndpointId Endpoint { get; }

    /// <summary>Everything there is, own changes included, to read.</summary>
    public OrMap Fields => Transaction.Fields;

    internal DocumentTransaction Transaction { get; }

    /// <summary>The request that a handler of it answers; null outside one.</summary>
    internal EndpointRequest? Request { get; init; }

    /// <summary>The handler's calls to other endpoints; null before the first.</summary>
    internal CallerScope? Calls { get; set; }

    /// <summary>Highest out-number that a connection has confirmed to this owner.</summary>
    internal Func<string, long> Confirmed { get; init; } = static _ => 0;

    /// <summary>The connections' part of this unit of work.</summary>
    internal ConnectionWork Sockets => _sockets ??= new ConnectionWork(Transaction, Confirmed);

    /// <summary>True when a leg must hear of this unit of work.</summary>
    internal bool HasSocketChanges => _sockets is { IsChanged: true };

    /// <summary>Who is connected to the endpoint's sockets (<c>MapShardSocket</c>) now, as of this state; in no order.</summary>
    public IReadOnlyCollection<ConnectionInfo> Connections
    {
        get
        {
            var state = this;
            return [.. Sockets.Open.Select(row => new ConnectionInfo(state, row.Id))];
        }
    }

    /// <summary>Sends to every connection, once this change counts: exactly once and in order, over crashes and moves.</summary>
    /// <param name="message">Text, or bytes.</param>
    /// <param name="except">A connection that does not get it; null: all get it.</param>
    /// <returns>To how many.</returns>
    /// <exception cref="ShardCloudException">SC3005: the handler may only read. SC4034: too much in one change.</exception>
    public int Broadcast(SocketMessage message, string? except = null) => SendTo(message, row => row.Id != except);

    /// <summary>The same, to those that are subscribed to a topic now.</summary>
    /// <exception cref="ShardCloudException">See <see cref="Broadcast"/>.</exception>
    public int Publish(string topic, SocketMessage message, string? except = null)
    {
        var state = this;
        return SendTo(message, row => row.Id != except && new ConnectionInfo(state, row.Id).HasTopic(topic));
    }

    /// <summary>The same, to one connection.</summary>
    /// <returns>False: it is not connected.</returns>
    /// <exception cref="ShardCloudException">See <see cref="Broadcast"/>.</exception>
    public bool Send(string connectionId, SocketMessage message) => SendTo(message, row => row.Id == connectionId) > 0;

    /// <summary>Closes a connection behind what was sent to it.</summary>
    /// <param name="connectionId">Which; none of this id is none to close.</param>
    /// <param name="code">1000, or 3000 to 4999 for the application's own (RFC 6455, 7.4.2).</param>
    /// <param name="reason">For people; cut at 123 bytes of UTF-8.</param>
    /// <exception cref="ShardCloudException">SC3005: the handler may only read.</exception>
    public void Close(string connectionId, int code = 1000, string reason = "")
    {
        ArgumentNullException.ThrowIfNull(reason);
        if (code is not (>= 1000 and <= 4999) or 1004 or 1005 or 1006 or 1015) throw new ArgumentOutOfRangeException(nameof(code), code, "No close code that may be sent (RFC 6455, 7.4).");
        Transaction.RequireWritable();
        if (Sockets.Find(connectionId) is { End: null }) Sockets.Close(connectionId, code, ShardConnection.Cut(reason));
    }

    /// <summary>What its outbox goes by; null where it has none.</summary>
    internal OutboxRules? Posting { get; init; }

    /// <summary>True once the handler has posted something.</summary>
    internal bool HasPosted => _outbox is { HasPosted: true };

    /// <summary>Calls to other endpoints that happen exactly when the changes of this handler do, after it.</summary>
    public Outbox Outbox => _outbox ??= new Outbox(Endpoint, Transaction, Posting);

    /// <summary>A counter that goes up and down.</summary>
    /// <exception cref="ShardCloudException">SC3001: the name holds another type. SC3002: the name is empty or too long.</exception>
    public CounterHandle Counter(string name) => Transaction.Counter(SystemFields.NotReserved(name));

    /// <summary>A counter that only grows.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="Counter"/>.</exception>
    public GrowCounterHandle GrowCounter(string name) => Transaction.GrowCounter(SystemFields.NotReserved(name));

    /// <summary>A counter that stays between a floor and a ceiling, both included.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="Counter"/>.</exception>
    public BoundedCounterHandle BoundedCounter(string name, long floor = 0, long ceiling = long.MaxValue) => Transaction.BoundedCounter(SystemFields.NotReserved(name), floor, ceiling);

    /// <summary>A set; an add wins over a concurrent remove.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="Counter"/>.</exception>
    public SetHandle Set(string name) => Transaction.Set(SystemFields.NotReserved(name));

    /// <summary>A set; a remove wins over a concurrent add.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="Counter"/>.</exception>
    public RemoveWinsSetHandle RemoveWinsSet(string name) => Transaction.RemoveWinsSet(SystemFields.NotReserved(name));

    /// <summary>A register; the last write wins, in the order the owners made them, never by clock.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="Counter"/>.</exception>
    public RegisterHandle Register(string name) => Transaction.Register(SystemFields.NotReserved(name));

    /// <summary>A register of one .NET type: text, a number, a truth value, bytes, a point in time, a Guid or an enum.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="Counter"/>.</exception>
    /// <exception cref="NotSupportedException">A register cannot hold the type; use text or bytes and a serializer.</exception>
    public RegisterHandle<T> Register<T>(string name) => new(Transaction.Register(SystemFields.NotReserved(name)));

    /// <summary>A register that keeps every concurrent write.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="Counter"/>.</exception>
    public MultiValueRegisterHandle MultiValueRegister(string name) => Transaction.MultiValueRegister(SystemFields.NotReserved(name));

    /// <summary>A flag; enabling wins over concurrent disabling.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="Counter"/>.</exception>
    public FlagHandle Flag(string name) => Transaction.Flag(SystemFields.NotReserved(name));

    /// <summary>A flag; disabling wins over concurrent enabling.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="Counter"/>.</exception>
    public FlagHandle DisableWinsFlag(string name) => Transaction.DisableWinsFlag(SystemFields.NotReserved(name));

    /// <summary>A map from text to values of any of these types, maps included.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="Counter"/>.</exception>
    public MapHandle Map(string name) => Transaction.Map(SystemFields.NotReserved(name));

    /// <summary>A list that grows at its end.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="Counter"/>.</exception>
    public ListHandle List(string name) => Transaction.List(SystemFields.NotReserved(name));

    /// <summary>A map whose entries have deadlines, removed by the owner.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="Counter"/>.</exception>
    public ExpiringMapHandle ExpiringMap(string name) => Transaction.ExpiringMap(SystemFields.NotReserved(name));

    /// <summary>What a reader sees, and may follow.</summary>
    internal static EndpointState OfReader(EndpointRequest request, IOwnedState owned, string method, OutboxRules? posting) =>
        OfReader(request, owned, owned.Current, method, posting);

    private static EndpointState OfReader(EndpointRequest request, IOwnedState owned, Document shown, string method, OutboxRules? posting) =>
        new(request.Endpoint, TransactionOf(request.Endpoint, shown, method)) { Request = request, Posting = posting, Shown = shown, _followed = owned, _method = method };

    /// <summary>The document that a reader at the owner sees; null elsewhere.</summary>
    internal Document? Shown { get; private init; }

    /// <summary>It saw what came after <see cref="Shown"/> too.</summary>
    internal bool IsFollowed { get; private set; }

    /// <summary>What a run on a scratch document sees; it changes nothing else.</summary>
    /// <param name="request">The request.</param>
    /// <param name="scratch">Its document.</param>
    /// <param name="reads">The method of a reader; null: the handler may change the document.</param>
    /// <param name="epoch">Of its changes.</param>
    internal static EndpointState OfScratch(EndpointRequest request, Updates.Scratch scratch, string? reads, Epoch epoch) =>
        new(scratch.Endpoint, reads is null ? new DocumentTransaction(scratch.Document, epoch, scratch.Document.NextSequence(epoch)) : TransactionOf(scratch.Endpoint, scratch.Document, reads))
        {
            Request = request,
            Posting = scratch.Posting,
            _isScratch = reads is not null,
        };

    /// <summary>Ended because the endpoint was sealed or lost, and not by whoever followed it.</summary>
    internal bool IsCut { get; private set; }

    private IOwnedState? _followed;
    private string _method = "";
    private bool _isScratch;

    internal async IAsyncEnumerable<EndpointState> FollowAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        IsFollowed = true;
        if (_isScratch)
        {
            yield return this; // Nothing ever changes it.
            yield break;
        }
        if (_followed is not { } owned)
            throw new InvalidOperationException($"Only a reader can follow endpoint '{Endpoint}': a changing handler holds its turn, so nobody else could change it.");
        Document? told = null;
        while (true)
        {
            var next = owned.NextChange(); // Before the document: a change between the two is seen twice rather than never.
            if (next is { IsCompleted: true, Result: false }) break;
            var current = owned.Current;
            if (!ReferenceEquals(current, told))
            {
                told = current;
                yield return ReadOnly(Endpoint, current, _method);
            }
            if (!await next.WaitAsync(cancellationToken)) break;
        }
        IsCut = true;
    }

    internal static EndpointState ReadOnly(EndpointId endpoint, Document document, string method) => new(endpoint, TransactionOf(endpoint, document, method));

    private static DocumentTransaction TransactionOf(EndpointId endpoint, Document document, string method) => DocumentTransaction.ReadOnly(document,
        () => new ShardCloudException(ErrorCodes.ReadOnlyRequest, $"A {method} request tried to change endpoint '{endpoint}'.",
            "Change state in handlers of POST, PUT, PATCH or DELETE: those run once, reads may run any number of times."));

    private int SendTo(SocketMessage message, Func<ConnectionRow, bool> to)
    {
        Transaction.RequireWritable(); // Sending to nobody is no change that the document would refuse.
        return Sockets.Send(message, to);
    }
}

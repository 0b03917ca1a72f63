using ShardCloud.Crdt;

namespace ShardCloud.ShardRuntime.State;

/// <summary>The state of the endpoint that a request names, as one unit of work: changes and the recorded answer become durable together when the handler ends.</summary>
/// <remarks>
/// A handler of GET, HEAD or OPTIONS sees an immutable document beside running writers and may not change it. Other handlers run one at a time
/// for each endpoint. A handler that throws or answers 5xx changes nothing. Not thread-safe; do not use it after the handler has ended.
/// </remarks>
public sealed class EndpointState
{
    private readonly DocumentTransaction _transaction;
    private readonly string _readOnlyMethod;

    internal EndpointState(EndpointId endpoint, DocumentTransaction transaction, string readOnlyMethod) =>
        (Endpoint, _transaction, _readOnlyMethod) = (endpoint, transaction, readOnlyMethod);

    /// <summary>The endpoint.</summary>
    public EndpointId Endpoint { get; }

    /// <summary>The counter of this name; it comes into being with its first change.</summary>
    /// <exception cref="ShardCloudException">SC3001: the name holds another type. SC3002: the name is empty or too long.</exception>
    public StateCounter Counter(string name) => new(this, _transaction.Counter(name));

    /// <summary>The set of this name.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="Counter"/>.</exception>
    public StateSet Set(string name) => new(this, _transaction.Set(name));

    /// <summary>The register of this name.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="Counter"/>.</exception>
    public StateRegister Register(string name) => new(this, _transaction.Register(name));

    /// <summary>The map of this name.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="Counter"/>.</exception>
    public StateMap Map(string name) => new(this, _transaction.Map(name));

    internal DocumentTransaction Transaction => _transaction;

    internal void CheckWritable()
    {
        if (_readOnlyMethod.Length > 0)
            throw new ShardCloudException(ErrorCodes.ReadOnlyRequest, $"A {_readOnlyMethod} request tried to change endpoint '{Endpoint}'.",
                "Change state in handlers of POST, PUT, PATCH or DELETE: those run once, reads may run any number of times.");
    }
}

/// <summary>A counter of the endpoint.</summary>
public readonly struct StateCounter
{
    private readonly EndpointState _state;
    private readonly CounterHandle _handle;

    internal StateCounter(EndpointState state, CounterHandle handle) => (_state, _handle) = (state, handle);

    /// <summary>The count, own changes included.</summary>
    public long Value => _handle.Value;

    /// <summary>Adds one.</summary>
    /// <exception cref="ShardCloudException">SC3005: the request only reads.</exception>
    public void Increment() => Add(1);

    /// <summary>Takes one away.</summary>
    /// <exception cref="ShardCloudException">SC3005: the request only reads.</exception>
    public void Decrement() => Add(-1);

    /// <summary>Adds; a negative amount takes away.</summary>
    /// <exception cref="ShardCloudException">SC3005: the request only reads.</exception>
    public void Add(long amount)
    {
        _state.CheckWritable();
        _handle.Add(amount);
    }
}

/// <summary>A set of the endpoint.</summary>
public readonly struct StateSet
{
    private readonly EndpointState _state;
    private readonly SetHandle _handle;

    internal StateSet(EndpointState state, SetHandle handle) => (_state, _handle) = (state, handle);

    /// <summary>The elements, ascending, own changes included.</summary>
    public IEnumerable<Value> Items => _handle.Items;

    /// <summary>How many elements.</summary>
    public int Count => _handle.Count;

    /// <summary>True when the element is in the set.</summary>
    public bool Contains(Value item) => _handle.Contains(item);

    /// <summary>Adds.</summary>
    /// <exception cref="ShardCloudException">SC3005: the request only reads.</exception>
    public void Add(Value item)
    {
        _state.CheckWritable();
        _handle.Add(item);
    }

    /// <summary>Removes; false when it was not there.</summary>
    /// <exception cref="ShardCloudException">SC3005: the request only reads.</exception>
    public bool Remove(Value item)
    {
        _state.CheckWritable();
        return _handle.Remove(item);
    }

    /// <summary>Removes everything.</summary>
    /// <exception cref="ShardCloudException">SC3005: the request only reads.</exception>
    public void Clear()
    {
        _state.CheckWritable();
        _handle.Clear();
    }
}

/// <summary>A register of the endpoint: the last write wins, in the order the owners made them, never by clock.</summary>
public readonly struct StateRegister
{
    private readonly EndpointState _state;
    private readonly RegisterHandle _handle;

    internal StateRegister(EndpointState state, RegisterHandle handle) => (_state, _handle) = (state, handle);

    /// <summary>The value; <see cref="Value.IsNone"/> when there is none.</summary>
    public Value Value => _handle.Value;

    /// <summary>Writes.</summary>
    /// <exception cref="ShardCloudException">SC3005: the request only reads.</exception>
    public void Set(Value value)
    {
        _state.CheckWritable();
        _handle.Set(value);
    }

    /// <summary>Takes the value away.</summary>
    /// <exception cref="ShardCloudException">SC3005: the request only reads.</exception>
    public void Clear()
    {
        _state.CheckWritable();
        _handle.Clear();
    }
}

/// <summary>A map of the endpoint: names to counters, sets, registers and maps.</summary>
public readonly struct StateMap
{
    private readonly EndpointState _state;
    private readonly MapHandle _handle;

    internal StateMap(EndpointState state, MapHandle handle) => (_state, _handle) = (state, handle);

    /// <summary>The keys, ascending.</summary>
    public IEnumerable<string> Keys => _handle.Keys;

    /// <summary>True when the key holds something.</summary>
    public bool ContainsKey(string key) => _handle.ContainsKey(key);

    /// <summary>The counter under the key.</summary>
    public StateCounter Counter(string key) => new(_state, _handle.Counter(key));

    /// <summary>The set under the key.</summary>
    public StateSet Set(string key) => new(_state, _handle.Set(key));

    /// <summary>The register under the key.</summary>
    public StateRegister Register(string key) => new(_state, _handle.Register(key));

    /// <summary>The map under the key.</summary>
    public StateMap Map(string key) => new(_state, _handle.Map(key));

    /// <summary>Removes a key with all that is under it; false when it was not there.</summary>
    /// <exception cref="ShardCloudException">SC3005: the request only reads.</exception>
    public bool Remove(string key)
    {
        _state.CheckWritable();
        return _handle.Remove(key);
    }
}

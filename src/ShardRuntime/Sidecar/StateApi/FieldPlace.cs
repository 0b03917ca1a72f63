using ShardCloud.Crdt;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime.Sidecar.StateApi;

/// <summary>One name, in the document or in a map of it. Opening it as a type that it does not have is SC3001.</summary>
internal sealed class FieldPlace
{
    private readonly EndpointState _state;
    private readonly string _name;
    private readonly MapHandle? _map;

    public FieldPlace(EndpointState state, IReadOnlyList<string> maps, string name)
    {
        (_state, _name) = (state, name);
        foreach (var map in maps) _map = _map is { } outer ? outer.Map(map) : state.Map(map);
    }

    public string Name => _name;

    /// <summary>What the name is in, own changes included.</summary>
    public OrMap Parent => _map?.Current ?? _state.Fields;

    /// <summary>Before a read, which opens nothing.</summary>
    /// <exception cref="ShardCloudException">SC3001: the name holds another type. SC3002: it is the runtime's.</exception>
    public void Expect(FieldType type)
    {
        if (_map is null) SystemFields.NotReserved(_name);
        if (Parent.KindOf(_name) is { } kind && kind != type.Kind)
            throw new ShardCloudException(ErrorCodes.WrongType, $"Field '{_name}' is no {type.Name}.", $"Use it as what it is: {FieldTypes.All.FirstOrDefault(known => known.Kind == kind)?.Name ?? "a type of a newer version"}.");
    }

    public CounterHandle Counter => _map?.Counter(_name) ?? _state.Counter(_name);

    public GrowCounterHandle GrowCounter => _map?.GrowCounter(_name) ?? _state.GrowCounter(_name);

    public SetHandle Set => _map?.Set(_name) ?? _state.Set(_name);

    public RemoveWinsSetHandle RemoveWinsSet => _map?.RemoveWinsSet(_name) ?? _state.RemoveWinsSet(_name);

    public RegisterHandle Register => _map?.Register(_name) ?? _state.Register(_name);

    public MultiValueRegisterHandle MultiValueRegister => _map?.MultiValueRegister(_name) ?? _state.MultiValueRegister(_name);

    public FlagHandle Flag => _map?.Flag(_name) ?? _state.Flag(_name);

    public FlagHandle DisableWinsFlag => _map?.DisableWinsFlag(_name) ?? _state.DisableWinsFlag(_name);

    public ListHandle List => _map?.List(_name) ?? _state.List(_name);

    public ExpiringMapHandle ExpiringMap => _map?.ExpiringMap(_name) ?? _state.ExpiringMap(_name);

    public MapHandle Map => _map?.Map(_name) ?? _state.Map(_name);

    public BoundedCounterHandle BoundedCounter(long floor, long ceiling) => _map?.BoundedCounter(_name, floor, ceiling) ?? _state.BoundedCounter(_name, floor, ceiling);
}

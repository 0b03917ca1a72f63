using System.Runtime.CompilerServices;

namespace ShardCloud.Placement.Rebalancing;

/// <summary>One move that a round makes.</summary>
internal readonly record struct PlannedMove(int Entry, int From, int To, double Gain, double LoadFrom, double LoadTo);

/// <summary>Which moves on the way to the target this round makes, and in which order: no shard is put over its limit by any of them, so they may be made batch by batch.</summary>
/// <remarks>
/// (1) What has to move. (2) Shards over their limit give. (3) Groups - what of one cluster goes to one shard - by what they save for each move, whole; one that its shard has no room for waits until something leaves it.
/// (4) For those that wait, room is made by moves that are on the way to the target too, where both together save enough; else those of its entries move that fit. (3) and (4) in turn, until nothing is left or the budget is spent.
/// What a round makes of a target lowers first the load above limits, then the cut: it never goes back and forth.
/// </remarks>
internal sealed class PlacementRound
{
    private const int TurnsMax = 6;

    // A larger group is ordered once instead of after each of its moves.
    private const int OrderedAnewMax = 64;

    // So often a turn room is looked for at a shard; it costs about as much as looking at all that leaves it.
    private const int RoomsMax = 24;

    // Who has more edges is looked at again once a turn instead of after each move of a neighbour.
    private const int FollowedEdgesMax = 256;

    private readonly PlacementModel _model;
    private readonly PlacementState _state;
    private readonly int[] _target;
    private readonly bool[] _isRequired;
    private readonly List<PlannedMove> _moves = [];
    private readonly int[] _groupOf;
    private readonly int[][] _groups;
    private readonly (int[] Starts, int[] Places) _leaving;
    private readonly PriorityQueue<(int Group, double Rate), (double, int)> _queue = new();
    private readonly HashSet<int>[] _waiting;
    private readonly HashSet<int> _begun = [];
    private readonly bool[] _isInside;
    private readonly int[] _rooms;
    private readonly int _budget;
    private int _endpointsLeft, _slotsLeft;

    private PlacementRound(PlacementModel model, int[] clusters, int[] target, bool[] isRequired, double budget)
    {
        (_model, _state, _target, _isRequired) = (model, new PlacementState(model), target, isRequired);
        (_isInside, _waiting, _rooms) = (new bool[model.Entries], new HashSet<int>[model.Shards], new int[model.Shards]);
        (_endpointsLeft, _slotsLeft) = Budget(model, budget);
        _budget = _endpointsLeft;
        int[] pending = [.. Enumerable.Range(0, model.Entries).Where(IsPending)];
        _groups = [.. pending.GroupBy(entry => (clusters[entry], target[entry])).Select(group => group.ToArray())];
        _groupOf = new int[model.Entries];
        Array.Fill(_groupOf, -1);
        for (var group = 0; group < _groups.Length; group++)
            foreach (var entry in _groups[group]) _groupOf[entry] = group;
        _leaving = Lists.Of([.. pending.Select(entry => model.Owner[entry])], model.Shards);
        for (var i = 0; i < pending.Length; i++) _leaving.Places[i] = pending[_leaving.Places[i]];
    }

    /// <summary>Where everything is after the round.</summary>
    public PlacementState State => _state;

    public IReadOnlyList<PlannedMove> Moves => _moves;

    /// <summary>Moves to the target that are left.</summary>
    public int Held => _groups.Sum(group => group.Count(IsPending));

    /// <summary>What all moves save together, in accesses a second.</summary>
    public double Saved => _moves.Sum(move => move.Gain);

    /// <summary>What all moves save together less what they cost.</summary>
    public double Worth => Saved - (_moves.Count * _model.MoveCost);

    /// <summary>Load above the limits of all shards, after the round.</summary>
    public double Overload => Enumerable.Range(0, _model.Shards).Sum(shard => Math.Max(0, _state.Excess(shard, _model.High)));

    /// <summary>True when it has moved nearly as many endpoints as it may: what it left is too small for a whole cluster.</summary>
    public bool IsBudgetSpent => _endpointsLeft <= _budget / 20;

    /// <summary>How many endpoints and how many slots a round may move: at least one of each.</summary>
    private static (int Endpoints, int Slots) Budget(PlacementModel model, double share)
    {
        var endpoints = model.IsEndpoint.AsSpan().Count(true);
        return (Of(endpoints), Of(model.Entries - endpoints));

        int Of(int count) => Math.Max(1, (int)Math.Floor(count * share));
    }

    /// <summary>The round towards a target, within the policy's budget or another one: a share of the endpoints, and of the slots.</summary>
    public static PlacementRound Of(PlacementModel model, int[] clusters, int[] target, bool[] isRequired, double? budget = null)
    {
        var round = new PlacementRound(model, clusters, target, isRequired, budget ?? model.Inputs.Policy.MoveBudget);
        round.MoveRequired();
        round.Relieve();
        for (var turn = 0; turn < TurnsMax; turn++)
        {
            var before = round._moves.Count;
            round._queue.Clear();
            Array.Clear(round._rooms);
            for (var group = 0; group < round._groups.Length; group++) round.Offer(group);
            round.MoveGroups();
            round.MoveWaiting();
            round.Relieve();
            if (round._moves.Count == before) break;
        }
        return round;
    }

    private bool IsPending(int entry) => _state.At[entry] != _target[entry];

    private int[] PendingOf(int group)
    {
        var entries = _groups[group];
        return Array.TrueForAll(entries, IsPending) ? entries : Array.FindAll(entries, IsPending);
    }

    private bool MayMove(int entry) => (_model.IsEndpoint[entry] ? _endpointsLeft : _slotsLeft) > 0;

    private void MoveRequired()
    {
        foreach (var entry in _groups.SelectMany(group => group).Where(entry => _isRequired[entry]).Order())
            if (MayMove(entry) && _state.MayBeAt(entry, _target[entry]) && _state.IsWithinCapacity(_target[entry], [entry])) Move(entry, _target[entry]);
    }

    // The heaviest shard gives first, and each time again whoever is the heaviest then.
    private void Relieve()
    {
        var giving = Enumerable.Range(0, _model.Shards).Where(shard => _state.IsOver(shard, _model.High))
            .ToDictionary(shard => shard, shard => (Over: _state.LeftAt(shard), Leaving: new Queue<int>(LeavingAt(shard, Math.Max(_model.TotalWeight, 1)))));
        while (giving.Count > 0 && _endpointsLeft + _slotsLeft > 0)
        {
            var heaviest = giving.Keys.MaxBy(shard => (_state.Relative(shard), -shard));
            var (over, leaving) = giving[heaviest];
            if (!_state.IsOver(heaviest, over) || !leaving.TryDequeue(out var entry)) giving.Remove(heaviest);
            else if (IsPending(entry) && _state.IsRelievedBy(heaviest, [entry], over) && CanMove(entry)) Move(entry, _target[entry]);
        }
    }

    // Who leaves a shard: first those of which the load that is taken from it, at so much for each of it, and what they save are the most.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private int[] LeavingAt(int shard, double perLoad)
    {
        int[] leaving = [.. _leaving.Places[_leaving.Starts[shard].._leaving.Starts[shard + 1]].Where(entry => IsPending(entry) && _state.At[entry] == shard && _model.Load[entry] > 0)];
        var order = Lists.Heaviest(leaving.Length, i => PlacementTies.Gain(_model, _state.At, leaving[i], _target[leaving[i]]) + (perLoad * _model.Load[leaving[i]]));
        return [.. order.Select(i => leaving[i])];
    }

    private bool CanMove(int entry) => MayMove(entry) && _state.MayBeAt(entry, _target[entry]) && _state.HasRoom(_target[entry], [entry], _model.Low);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void MoveGroups()
    {
        while (_queue.TryDequeue(out var offer, out _) && _endpointsLeft + _slotsLeft > 0)
        {
            var entries = PendingOf(offer.Group);
            if (entries.Length == 0) continue;
            var (gain, traffic) = GainOf(entries);
            var rate = gain / entries.Length;
            if (!IsWorth(gain, traffic, entries.Length)) continue; // Offered again when something that it is used with moves.
            if (rate < offer.Rate * (1 - 1e-9) && _queue.TryPeek(out var next, out _) && next.Rate > rate)
            {
                _queue.Enqueue((offer.Group, rate), (-rate, offer.Group));
                continue;
            }
            var to = _target[entries[0]];
            if (!IsInBudget(entries) && !MayBegin(offer.Group)) continue;
            if (entries.Length == 1 && !_state.MayBeAt(entries[0], to)) continue;
            if (_state.HasRoom(to, entries, _model.Low))
            {
                MoveAll(entries, to);
                continue;
            }
            var withRoom = _rooms[to]++ < RoomsMax ? MoveWithRoom(entries, to, _queue.TryPeek(out var other, out _) ? other.Rate : 0) : 0;
            if (withRoom > 0) _queue.Enqueue((offer.Group, withRoom), (-withRoom, offer.Group));
            else if (entries.Any(IsPending)) (_waiting[to] ??= []).Add(offer.Group);
        }
    }

    private bool IsInBudget(int[] entries)
    {
        var endpoints = 0;
        foreach (var entry in entries)
            if (_model.IsEndpoint[entry]) endpoints++;
        return endpoints <= _endpointsLeft && entries.Length - endpoints <= _slotsLeft;
    }

    // Only a round that has made no move yet begins a group larger than its budget, and tries each such group once.
    private bool MayBegin(int group) => _moves.Count == 0 && _begun.Add(group);

    /// <summary>What waits and found no room: of its entries those that fit.</summary>
    private void MoveWaiting()
    {
        var waiting = _waiting.Where(groups => groups is not null).SelectMany(groups => groups).Select(group => (Group: group, Entries: PendingOf(group)))
            .Where(group => group.Entries.Length > 0).Select(group => (group.Group, Rate: GainOf(group.Entries).Gain / group.Entries.Length)).OrderByDescending(group => group.Rate).ThenBy(group => group.Group).ToList();
        foreach (var groups in _waiting) groups?.Clear();
        foreach (var (group, _) in waiting) MoveSome(PendingOf(group));
    }

    /// <summary>Moves the group together with others that leave its shard and so make room, if both together save at least <paramref name="rateMin"/> for each move.</summary>
    /// <returns>0 when done, or when there is no room to be had; else what it would save for each move: too little now.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private double MoveWithRoom(int[] entries, int to, double rateMin)
    {
        var (made, load) = (_moves.Count, entries.Sum(entry => _model.Load[entry]));
        foreach (var entry in LeavingAt(to, load > 0 ? GainOf(entries).Gain / load : 0))
        {
            if (_state.HasRoom(to, entries, _model.Low) || !IsInBudget(entries)) break;
            if (CanMove(entry)) Move(entry, _target[entry]);
        }
        var (gathered, traffic) = GainOf(entries);
        var all = _moves.Skip(made).Sum(move => move.Gain) + gathered;
        var (count, hasRoom) = (entries.Length + _moves.Count - made, _state.HasRoom(to, entries, _model.Low) && IsInBudget(entries));
        var isWorth = hasRoom && IsWorth(all, traffic, count);
        if (isWorth && all / count >= rateMin)
        {
            MoveAll(entries, to);
            return 0;
        }
        TakeBack(made);
        return isWorth ? all / count : 0;
    }

    private void MoveSome(int[] entries)
    {
        var left = entries.ToList();
        while (left.Count > 0)
        {
            var entry = left.MaxBy(entry => PlacementTies.Gain(_model, _state.At, entry, _target[entry]));
            left.Remove(entry);
            if (CanMove(entry) && IsWorth(PlacementTies.Gain(_model, _state.At, entry, _target[entry]), _model.Incident[entry], 1)) Move(entry, _target[entry]);
        }
    }

    private bool IsWorth(double gain, double traffic, int moves) => gain > moves * _model.MoveCost && gain >= _model.GainMin * traffic;

    /// <summary>Moves entries of a group one by one, each time the one that then saves most. Of more than the budget allows only so many as save most together: a beginning that saves nothing might be taken back by the next round.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void MoveAll(int[] entries, int to)
    {
        var made = _moves.Count;
        var left = entries.OrderByDescending(entry => PlacementTies.Gain(_model, _state.At, entry, to)).ToList();
        while (left.Count > 0)
        {
            var entry = left.Count > OrderedAnewMax ? left[0] : left.MaxBy(entry => PlacementTies.Gain(_model, _state.At, entry, to));
            left.Remove(entry);
            if (MayMove(entry)) Move(entry, to);
        }
        if (!entries.Any(IsPending)) return;
        var (saved, most, best) = (0.0, 0.0, made);
        for (var i = made; i < _moves.Count; i++)
            if ((saved += _moves[i].Gain - _model.MoveCost) > most) (most, best) = (saved, i + 1);
        TakeBack(best);
    }

    // Who reads a partition by these moves stays counted: all of the target's are, from the beginning of the next plan.
    private void TakeBack(int from)
    {
        for (var i = _moves.Count - 1; i >= from; i--)
        {
            _state.Move(_moves[i].Entry, _moves[i].From);
            if (_model.IsEndpoint[_moves[i].Entry]) _endpointsLeft++;
            else _slotsLeft++;
        }
        _moves.RemoveRange(from, _moves.Count - from);
    }

    /// <summary>Moves an entry, and offers again what waits for its shard or is used with it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Move(int entry, int to)
    {
        var (from, gain, loadFrom) = (_state.At[entry], PlacementTies.Gain(_model, _state.At, entry, to), _state.Relative(_state.At[entry]));
        _state.Move(entry, to);
        _moves.Add(new PlannedMove(entry, from, to, gain, loadFrom, _state.Relative(to)));
        if (_model.IsEndpoint[entry]) _endpointsLeft--;
        else _slotsLeft--;
        if (_waiting[from] is { Count: > 0 } groups)
        {
            foreach (var group in groups.Where(group => _state.HasRoom(from, PendingOf(group), _model.Low)).Order().ToList())
            {
                groups.Remove(group);
                Offer(group);
            }
        }
        for (var i = _model.First[entry]; i < _model.First[entry + 1]; i++)
        {
            var other = _model.Ends[i];
            if (_groupOf[other] >= 0 && _groupOf[other] != _groupOf[entry] && IsPending(other) && _model.First[other + 1] - _model.First[other] <= FollowedEdgesMax) Offer(_groupOf[other]);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Offer(int group)
    {
        var entries = PendingOf(group);
        if (entries.Length == 0) return;
        var (gain, traffic) = GainOf(entries);
        if (IsWorth(gain, traffic, entries.Length)) _queue.Enqueue((group, gain / entries.Length), (-gain / entries.Length, group));
    }

    /// <summary>What is saved by moving all of these entries to their shard, and what they exchange in all.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private (double Gain, double Traffic) GainOf(int[] entries)
    {
        var (to, gain, traffic, at) = (_target[entries[0]], 0.0, 0.0, _state.At);
        var (first, ends, weights, isInside) = (_model.First, _model.Ends, _model.Weights, _isInside);
        foreach (var entry in entries) isInside[entry] = true;
        foreach (var entry in entries)
        {
            traffic += _model.Incident[entry];
            var from = at[entry];
            for (var i = first[entry]; i < first[entry + 1]; i++)
            {
                var other = ends[i];
                if (isInside[other]) gain += at[other] == from ? 0 : weights[i] / 2;
                else if (at[other] == to) gain += weights[i];
                else if (at[other] == from) gain -= weights[i];
            }
        }
        foreach (var entry in entries) isInside[entry] = false;
        return (gain, traffic);
    }
}

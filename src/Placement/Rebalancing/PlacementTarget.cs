using System.Runtime.CompilerServices;

namespace ShardCloud.Placement.Rebalancing;

/// <summary>Where every entry should be in the end, however many rounds it takes: as near to today's placement as it can be.</summary>
/// <remarks>
/// (1) What must move: pins, and who must be apart. (2) Each cluster, heaviest traffic first, is gathered at the shard where that saves most; then each entry by itself. Of shards that are nearly
/// as good one with room is taken, but a shard may go over. (3) Shards that are over give away what costs least for the load it takes from them. A placement that needs nothing of this is its own target: so
/// planning again what is done gives no moves.
/// </remarks>
internal sealed class PlacementTarget
{
    private const int PassesMax = 4;

    // A shard with room is taken in place of the best one where it saves at least so much of what the best saves.
    private const double NearlyAsGood = 0.8;

    private readonly PlacementModel _model;
    private readonly PlacementState _state;
    private readonly PlacementTies _ties;
    private readonly bool[] _isRequired;
    private readonly int[] _members, _starts;
    private readonly List<int> _incoming = [];

    private PlacementTarget(PlacementModel model, int[] clusters)
    {
        (_model, _state, _ties, _isRequired) = (model, new PlacementState(model), new PlacementTies(model), new bool[model.Entries]);
        (_starts, _members) = Lists.Of(clusters, clusters.Length == 0 ? 0 : clusters.Max() + 1);
    }

    /// <summary>The shard of each entry.</summary>
    public int[] At => _state.At;

    /// <summary>Which entries have to go there whatever it costs.</summary>
    public bool[] IsRequired => _isRequired;

    /// <summary>What gathering would save before shards with too much give something back: share of the weight of all edges. 0 where nothing is gathered.</summary>
    public double Left { get; private set; }

    /// <summary>The target of a model; with <paramref name="isGathered"/> false only what must move, and balance, moves anything. To gather, something must be used together.</summary>
    public static PlacementTarget Of(PlacementModel model, int[] clusters, bool isGathered)
    {
        var target = new PlacementTarget(model, clusters);
        target.Require();
        if (isGathered)
        {
            var before = target._state.Cut();
            target.Gather();
            target.Left = Math.Max(0, (before - target._state.Cut()) / model.TotalWeight); // Sums are not exact.
        }
        target.Relieve(isGathered);
        return target;
    }

    private void Require()
    {
        for (var entry = 0; entry < _model.Entries; entry++)
        {
            var pin = _model.Pin[entry];
            if (pin < 0 || pin == _state.At[entry] || _model.Inputs.Entries[entry].IsFixed || !_model.Takes[pin] || !_state.IsWithinCapacity(pin, [entry]) || !_state.MayRead(pin, [entry])) continue;
            _state.Move(entry, pin);
            _isRequired[entry] = true;
        }
        foreach (var entry in _model.ApartOf.Keys.Order())
        {
            if (!_model.IsMovable[entry] || !_model.ApartOf[entry].Any(other => _state.At[other] == _state.At[entry])) continue;
            var to = Best(_model.Takers[_model.Group[_state.At[entry]]].Where(shard => _state.MayBeAt(entry, shard) && _state.IsWithinCapacity(shard, [entry])), entry);
            if (to < 0) continue;
            _state.Move(entry, to);
            _isRequired[entry] = true;
        }
    }

    private int Best(IEnumerable<int> shards, int entry)
    {
        _ties.Look([entry], _state.At);
        return shards.OrderBy(shard => _state.HasRoom(shard, [entry], _model.Low) ? 0 : 1).ThenByDescending(_ties.To).ThenBy(_state.Relative).ThenBy(shard => shard).FirstOrDefault(-1);
    }

    private void Gather()
    {
        var clusters = Lists.Heaviest(_starts.Length - 1, ClusterTraffic);
        var single = new int[1];
        for (var pass = 0; pass < PassesMax; pass++)
        {
            var changed = 0;
            foreach (var cluster in clusters)
                if (Wish(Members(cluster))) changed++;
            for (var entry = 0; entry < _model.Entries; entry++)
            {
                single[0] = entry;
                if (_model.First[entry + 1] > _model.First[entry] && Wish(single)) changed++;
            }
            if (changed <= _model.Entries / 500) break;
        }
    }

    private double ClusterTraffic(int cluster)
    {
        double sum = 0;
        foreach (var entry in Members(cluster)) sum += _model.Incident[entry];
        return sum / Members(cluster).Length;
    }

    /// <summary>Gathers the entries where it saves most, if that is enough.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private bool Wish(ReadOnlySpan<int> entries)
    {
        if (!_model.IsMovable[entries[0]] || _isRequired[entries[0]]) return false; // What may not move is a cluster of its own.
        _ties.Look(entries, _state.At);
        var stays = _ties.Kept;
        foreach (var entry in entries)
            if (_state.At[entry] != _model.Owner[entry]) stays -= _model.MoveCost;

        var (any, anyGain, fit, fitGain) = (-1, 0.0, -1, 0.0);
        foreach (var shard in _ties.Shards)
        {
            if (!_model.Takes[shard] || _model.Group[shard] != _model.Group[_model.Owner[entries[0]]]) continue;
            if (entries.Length == 1 && (shard == _state.At[entries[0]] || !_state.MayBeAt(entries[0], shard))) continue;
            var (gain, traffic) = GainAt(entries, shard, stays);
            if (_incoming.Count == 0 || gain <= 0 || gain < _model.GainMin * traffic || !_state.MayRead(shard, Lists.Span(_incoming))) continue;
            if (IsBetter(gain, shard, anyGain, any)) (any, anyGain) = (shard, gain);
            if (IsBetter(gain, shard, fitGain, fit) && _state.HasRoom(shard, Lists.Span(_incoming), _model.Low)) (fit, fitGain) = (shard, gain);
        }
        var best = fit >= 0 && fitGain >= NearlyAsGood * anyGain ? fit : any;
        if (best < 0) return false;
        foreach (var entry in entries)
            if (_state.At[entry] != best) _state.Move(entry, best);
        return true;
    }

    /// <summary>What is saved by having all these entries at a shard, what those that are not there exchange in all; those are then in <see cref="_incoming"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private (double Gain, double Traffic) GainAt(ReadOnlySpan<int> entries, int shard, double stays)
    {
        _incoming.Clear();
        var (gain, traffic) = (_ties.Inside + _ties.To(shard) - stays, 0.0);
        foreach (var entry in entries)
        {
            if (_model.Owner[entry] != shard) gain -= _model.MoveCost;
            if (_state.At[entry] == shard) continue;
            traffic += _model.Incident[entry];
            _incoming.Add(entry);
        }
        return (gain, traffic);
    }

    private bool IsBetter(double gain, int shard, double bestGain, int best)
    {
        if (best < 0) return true;
        var same = 1e-9 * Math.Abs(bestGain);
        return gain > bestGain + same || (gain >= bestGain - same && (_state.Loads[shard], shard).CompareTo((_state.Loads[best], best)) < 0);
    }

    private void Relieve(bool isGathered)
    {
        // Only who is over gives, and nobody who takes goes over by it: the lists stay right for those who give.
        var (starts, entries) = Lists.Of(_state.At, _model.Shards);
        var today = new PlacementState(_model);
        var clusterOf = new int[_model.Entries];
        for (var cluster = 0; cluster + 1 < _starts.Length; cluster++)
            foreach (var entry in Members(cluster)) clusterOf[entry] = cluster;

        foreach (var shard in Enumerable.Range(0, _model.Shards).OrderByDescending(shard => _state.Excess(shard, 0)))
        {
            var over = today.LeftAt(shard);
            if (!_state.IsOver(shard, isGathered ? over : Math.Max(over, _model.High))) continue; // Where nothing is gathered, what must come may fill a shard to the limit.
            var mine = entries[starts[shard]..starts[shard + 1]];
            Give(shard, over, [.. mine.Where(CanGo).GroupBy(entry => clusterOf[entry]).Select(part => part.ToArray())]);
            if (_state.IsOver(shard, over)) Give(shard, over, [.. mine.Where(entry => CanGo(entry) && _state.At[entry] == shard).Select(entry => new[] { entry })]);
        }
    }

    private bool CanGo(int entry) => _model.IsMovable[entry] && !_isRequired[entry] && _model.Load[entry] > 0;

    /// <summary>Gives parts away until the shard is no longer over: first those that cost least for the load that is relieved.</summary>
    private void Give(int shard, double over, List<int[]> parts)
    {
        var excess = Math.Max(_state.Excess(shard, over), 1e-12);
        var offers = parts.Select((part, number) =>
        {
            var load = part.Sum(entry => _model.Load[entry]);
            var (_, loss) = Elsewhere(shard, part, isWithRoom: false);
            return (Part: part, Load: load, Price: loss / Math.Min(load, excess), Number: number);
        }).OrderBy(offer => offer.Price).ThenBy(offer => offer.Load > excess ? 1 : 0).ThenByDescending(offer => offer.Load).ThenBy(offer => offer.Number).ToList();
        foreach (var isTight in new[] { true, false })
        {
            foreach (var (part, load, _, _) in offers)
            {
                if (!_state.IsOver(shard, over)) return;
                if (_state.At[part[0]] != shard || (isTight && load > 1.5 * _state.Excess(shard, over) && _state.Excess(shard, over) > 0)) continue;
                if (!_state.IsRelievedBy(shard, part, over)) continue;
                var (to, _) = Elsewhere(shard, part, isWithRoom: true);
                if (to < 0) continue;
                foreach (var entry in part) _state.Move(entry, to);
            }
        }
    }

    /// <summary>The best other shard for entries of one shard, and what is lost by it; -1 where there is none.</summary>
    private (int To, double Loss) Elsewhere(int from, int[] part, bool isWithRoom)
    {
        _ties.Look(part, _state.At);
        var here = _ties.To(from) - Moves(part, from);
        var (best, bestLoss) = (-1, double.PositiveInfinity);
        foreach (var shard in _ties.Shards) Consider(shard);
        if (isWithRoom)
        {
            foreach (var shard in _model.Takers[_model.Group[from]]) Consider(shard);
        }
        else if (bestLoss > here + (part.Length * _model.MoveCost))
        {
            bestLoss = here + (part.Length * _model.MoveCost); // Any shard that it has nothing to do with.
        }
        return (best, bestLoss);

        void Consider(int shard)
        {
            if (shard == from || !_model.Takes[shard] || _model.Group[shard] != _model.Group[from]) return;
            var loss = here - _ties.To(shard) + Moves(part, shard);
            if (best >= 0 && (loss > bestLoss || (loss == bestLoss && (_state.Relative(shard), shard).CompareTo((_state.Relative(best), best)) >= 0))) return;
            if (isWithRoom && (!_state.HasRoom(shard, part, _model.Low) || (part.Length == 1 && !_state.MayBeAt(part[0], shard)))) return;
            (best, bestLoss) = (shard, loss);
        }
    }

    private double Moves(int[] part, int shard)
    {
        var moves = 0;
        foreach (var entry in part)
            if (_model.Owner[entry] != shard) moves++;
        return moves * _model.MoveCost;
    }

    private ReadOnlySpan<int> Members(int cluster) => _members.AsSpan(_starts[cluster], _starts[cluster + 1] - _starts[cluster]);
}

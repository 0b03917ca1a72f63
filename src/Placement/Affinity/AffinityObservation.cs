using System.IO.Hashing;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;

namespace ShardCloud.Placement.Affinity;

/// <summary>How much is observed, and for how long it counts.</summary>
/// <param name="Edges">Edges kept; two fifths as many endpoints keep their names. At least 64.</param>
/// <param name="HalfLife">After so long an access counts half.</param>
/// <param name="Window">Two endpoints are used together when one client uses them one after the other within this time.</param>
/// <param name="HasLoads">Handlers run here: loads are kept too, by slot.</param>
public sealed record ObservationLimits(int Edges, TimeSpan HalfLife, TimeSpan Window, bool HasLoads)
{
    /// <summary>A younger observation counts as one of this age: two accesses in its first second are no rate of 2/s. Default: a 20th of the half-life.</summary>
    public TimeSpan AgeMin { get; init; } = HalfLife / 20;

    /// <summary>Edges, and endpoints, that the doorkeeper of each of 16 parts remembers, see <see cref="SpaceSaving"/>; a power of 2. 0: none. Default 256.</summary>
    public int Door { get; init; } = 256;
}

/// <summary>Observes which endpoints are used together and what each costs, in bounded memory that is all taken at the start: 0 B an access. Thread-safe.</summary>
/// <remarks>
/// An edge is counted when a client uses an endpoint within <see cref="ObservationLimits.Window"/> of using another one, its last, and when an endpoint's handler calls another endpoint. Both go to a
/// <see cref="SpaceSaving"/> of edges, under the hashes of the two names; names are in a second one, of endpoints. An edge is told of when both its endpoints have kept their names: what is used much has.
/// Where a client uses the same endpoint again nothing is counted but its time: that tells nothing new of what belongs together.
/// <para>Parts are striped by hash, each with its lock, held for some ten nanoseconds. Of a client only a hash under a salt is kept, in a table of 8,192 that forgets: the salt is drawn anew, and the table cleared,
/// every 60 windows, and nothing of it is ever told.</para>
/// <para>Default bounds: 2.0 MB. Loads are of endpoints since they got their cell; the rest of their slot's load is told as the slot's.</para>
/// </remarks>
public sealed class AffinityObservation
{
    /// <summary>Longest name that is kept, in bytes of UTF-8; endpoints with longer ones count for their slot only.</summary>
    public const int NameBytesMax = 128;

    private const int Stripes = 16, Clients = 8_192, ClientCharsMax = 64, WindowsOfSalt = 60;

    private readonly EdgeStripe[] _edges = new EdgeStripe[Stripes];
    private readonly NameStripe[] _names = new NameStripe[Stripes];
    private readonly ClientStripe[] _clients = new ClientStripe[Stripes];
    private readonly ObservationLimits _limits;
    private readonly TimeProvider _time;
    private readonly Func<long> _salts;
    private readonly double _window;
    private readonly long _start;
    private readonly Lock _salting = new();
    private long _salt;
    private double _saltUntil;

    /// <summary>Nothing observed yet.</summary>
    /// <param name="limits">Its bounds.</param>
    /// <param name="time">Clock.</param>
    /// <param name="salts">Draws salts; null: by the machine's cryptographic generator.</param>
    public AffinityObservation(ObservationLimits limits, TimeProvider time, Func<long>? salts = null)
    {
        ArgumentNullException.ThrowIfNull(limits);
        ArgumentNullException.ThrowIfNull(time);
        (_limits, _time, _salts) = (limits, time, salts ?? NewSalt);
        var halfLife = limits.HalfLife.TotalSeconds;
        for (var i = 0; i < Stripes; i++)
        {
            _edges[i] = new EdgeStripe(Math.Max(4, limits.Edges / Stripes), limits.Door, halfLife);
            _names[i] = new NameStripe(i, Math.Max(4, limits.Edges * 2 / 5 / Stripes), limits.Door, halfLife, limits.HasLoads);
            _clients[i] = new ClientStripe();
        }
        (_window, _start, _salt) = (limits.Window.TotalSeconds, time.GetTimestamp(), _salts());
        _saltUntil = _window * WindowsOfSalt;
    }

    /// <summary>A client uses an endpoint. Call it at one member for each access.</summary>
    /// <param name="client">What tells a client from others: a cookie, a token, a connection. Its last 64 characters count: cookies and tokens of one kind begin alike.</param>
    /// <param name="endpoint">The endpoint.</param>
    public void Used(ReadOnlySpan<char> client, EndpointId endpoint)
    {
        var (now, hash) = (Now(), endpoint.KeyHash);
        if (now >= Volatile.Read(ref _saltUntil)) DrawSalt(now);
        var name = XxHash3.HashToUInt64(MemoryMarshal.AsBytes(client[Math.Max(0, client.Length - ClientCharsMax)..]), Volatile.Read(ref _salt)); // Longer ones take three times as long.
        var last = _clients[name >> 60].Exchange(name, hash, now, _window);
        if (last == hash) return;
        _names[StripeOf(hash)].Touch(hash, endpoint.Value, now);
        if (last != 0) CountEdge(last, hash, now);
    }

    /// <summary>An endpoint's handler calls another endpoint.</summary>
    public void Called(EndpointId from, EndpointId to)
    {
        var (now, caller, callee) = (Now(), from.KeyHash, to.KeyHash);
        if (caller == callee) return;
        _names[StripeOf(caller)].Touch(caller, from.Value, now);
        _names[StripeOf(callee)].Touch(callee, to.Value, now);
        CountEdge(caller, callee, now);
    }

    /// <summary>A handler of an endpoint has run here.</summary>
    /// <param name="endpoint">The endpoint.</param>
    /// <param name="cpuSeconds">Seconds of a processor that it took.</param>
    /// <param name="bytes">In and out.</param>
    public void Ran(EndpointId endpoint, double cpuSeconds, long bytes)
    {
        var hash = endpoint.KeyHash;
        _names[StripeOf(hash)].Ran(hash, endpoint.Value, Now(), cpuSeconds, bytes);
    }

    /// <summary>All that was observed, decayed until now, as rates; asking again changes nothing.</summary>
    /// <param name="connections">Open connections, by endpoint.</param>
    /// <param name="stateBytes">Size of an endpoint's state here; 0: it has none here.</param>
    /// <returns>A map with version 0. Weights are sure ones: an edge's true weight is not below it.</returns>
    public AffinityMap Read(IReadOnlyDictionary<EndpointId, int>? connections = null, Func<EndpointId, long>? stateBytes = null)
    {
        var now = Now();
        // Counts to rates: a steady rate r has a decayed count of r * half-life / ln 2, once the observation is old enough.
        var halfLife = _limits.HalfLife.TotalSeconds;
        var rate = Math.Log(2) / halfLife / (1 - Math.Pow(2, -Math.Max(now, _limits.AgeMin.TotalSeconds) / halfLife));
        var named = new Dictionary<ulong, (EndpointId Endpoint, EndpointLoad Load)>();
        var slots = new EndpointLoad[Slot.Count];
        foreach (var stripe in _names) stripe.Read(now, rate, named, slots);
        List<(ulong A, ulong B, double Weight)> pairs = [];
        foreach (var stripe in _edges) stripe.Read(now, rate, pairs);
        pairs.RemoveAll(pair => !named.ContainsKey(pair.A) || !named.ContainsKey(pair.B));

        foreach (var (endpoint, count) in connections ?? new Dictionary<EndpointId, int>())
        {
            ref var known = ref CollectionsMarshal.GetValueRefOrNullRef(named, endpoint.KeyHash);
            if (System.Runtime.CompilerServices.Unsafe.IsNullRef(ref known)) slots[endpoint.Slot.Value] += new EndpointLoad(0, 0, 0, count, 0);
            else known.Load = known.Load with { Connections = count };
        }
        var told = pairs.SelectMany(pair => new[] { pair.A, pair.B }).ToHashSet();
        var vertices = named.Where(pair => told.Contains(pair.Key) || pair.Value.Load.Requests >= AffinityMerge.WeightMin || pair.Value.Load.Connections > 0)
            .OrderBy(pair => pair.Value.Endpoint.Value, StringComparer.Ordinal).ToList();
        var places = new Dictionary<ulong, int>(vertices.Count);
        foreach (var (hash, _) in vertices) places.Add(hash, places.Count);
        return new AffinityMap
        {
            Version = 0,
            At = _time.GetUtcNow(),
            HalfLife = _limits.HalfLife,
            Vertices = [.. vertices.Select(vertex => new AffinityVertex(vertex.Value.Endpoint, AffinityMerge.Round(vertex.Value.Load with { StateBytes = stateBytes?.Invoke(vertex.Value.Endpoint) ?? 0 })))],
            Edges = [.. pairs.Select(pair => EdgeOf(places[pair.A], places[pair.B], pair.Weight)).OrderBy(edge => edge.A).ThenBy(edge => edge.B)],
            Slots = [.. slots.Select((load, slot) => new SlotLoad(new Slot((ushort)slot), AffinityMerge.Round(load))).Where(slot => slot.Load.Requests >= AffinityMerge.WeightMin || slot.Load.Connections > 0)],
        };
    }

    private static AffinityEdge EdgeOf(int a, int b, double weight) => new(Math.Min(a, b), Math.Max(a, b), AffinityMerge.Round(weight));

    private static int StripeOf(ulong hash) => (int)(hash & (Stripes - 1)); // Also that of its slot.

    private static long NewSalt()
    {
        Span<byte> bytes = stackalloc byte[sizeof(long)];
        RandomNumberGenerator.Fill(bytes);
        return MemoryMarshal.Read<long>(bytes);
    }

    private double Now() => _time.GetElapsedTime(_start).TotalSeconds;

    private void CountEdge(ulong a, ulong b, double now)
    {
        if (a > b) (a, b) = (b, a);
        _edges[(int)((a ^ (b >> 17)) & (Stripes - 1))].Add(a, b, now);
    }

    private void DrawSalt(double now)
    {
        lock (_salting)
        {
            if (now < _saltUntil) return; // Another was faster.
            Volatile.Write(ref _salt, _salts());
            foreach (var stripe in _clients) stripe.Clear();
            Volatile.Write(ref _saltUntil, now + (_window * WindowsOfSalt));
        }
    }

    private sealed class EdgeStripe(int capacity, int door, double halfLife)
    {
        private readonly Lock _gate = new();
        private readonly SpaceSaving _edges = new(capacity, door);
        private readonly ForwardDecay _decay = new(halfLife);

        public void Add(ulong a, ulong b, double now)
        {
            lock (_gate) _edges.Add(a, b, WeightAt(now), out _);
        }

        public void Read(double now, double rate, List<(ulong, ulong, double)> into)
        {
            lock (_gate)
            {
                rate /= WeightAt(now);
                for (var i = 0; i < _edges.Count; i++)
                {
                    var (a, b, weight, error) = _edges[i];
                    if ((weight - error) * rate >= AffinityMerge.WeightMin) into.Add((a, b, (weight - error) * rate));
                }
            }
        }

        private double WeightAt(double now)
        {
            var weight = _decay.WeightAt(now, out var factor);
            if (factor < 1) _edges.Scale(factor);
            return weight;
        }
    }

    private sealed class NameStripe(int number, int capacity, int door, double halfLife, bool hasLoads)
    {
        private readonly Lock _gate = new();
        private readonly SpaceSaving _endpoints = new(capacity, door);
        private readonly ForwardDecay _decay = new(halfLife);
        private readonly byte[] _names = new byte[capacity * NameBytesMax]; // Not strings: nothing of a request lives on.
        private readonly byte[] _lengths = new byte[capacity];
        private readonly Sums[] _loads = new Sums[hasLoads ? capacity : 0];
        private readonly Sums[] _slots = new Sums[hasLoads ? Slot.Count / Stripes : 0]; // Of this stripe: every 16th.

        public void Touch(ulong hash, string name, double now)
        {
            lock (_gate) Find(hash, name, WeightAt(now));
        }

        public void Ran(ulong hash, string name, double now, double cpu, long bytes)
        {
            if (!hasLoads) return;
            lock (_gate)
            {
                var weight = WeightAt(now);
                if (Find(hash, name, weight) is var at and >= 0) _loads[at].Add(weight, cpu, bytes);
                _slots[Slot.Of(hash).Value / Stripes].Add(weight, cpu, bytes);
            }
        }

        public void Read(double now, double rate, Dictionary<ulong, (EndpointId, EndpointLoad)> named, EndpointLoad[] slots)
        {
            lock (_gate)
            {
                rate /= WeightAt(now);
                var rest = (Sums[])_slots.Clone();
                for (var i = 0; i < _endpoints.Count; i++)
                {
                    if (_lengths[i] == 0) continue;
                    var hash = _endpoints[i].A;
                    named.Add(hash, (new EndpointId(Encoding.UTF8.GetString(_names, i * NameBytesMax, _lengths[i])), hasLoads ? _loads[i].At(rate) : EndpointLoad.None));
                    if (hasLoads) rest[Slot.Of(hash).Value / Stripes].Subtract(_loads[i]);
                }
                for (var i = 0; i < rest.Length; i++) slots[(i * Stripes) + number] = rest[i].At(rate);
            }
        }

        private int Find(ulong hash, string name, double weight)
        {
            var at = _endpoints.Add(hash, 0, weight, out var isNew);
            if (!isNew) return at;
            _lengths[at] = Encoding.UTF8.TryGetBytes(name, _names.AsSpan(at * NameBytesMax, NameBytesMax), out var length) ? (byte)length : (byte)0;
            if (hasLoads) _loads[at] = default;
            return at;
        }

        private double WeightAt(double now)
        {
            var weight = _decay.WeightAt(now, out var factor);
            if (factor == 1) return weight;
            _endpoints.Scale(factor);
            foreach (ref var load in _loads.AsSpan()) load.Scale(factor);
            foreach (ref var load in _slots.AsSpan()) load.Scale(factor);
            return weight;
        }
    }

    private struct Sums
    {
        public double Requests, Cpu, Bytes;

        public void Add(double weight, double cpu, long bytes) => (Requests, Cpu, Bytes) = (Requests + weight, Cpu + (weight * cpu), Bytes + (weight * bytes));

        public void Subtract(Sums other) => (Requests, Cpu, Bytes) = (Rest(Requests, other.Requests), Rest(Cpu, other.Cpu), Rest(Bytes, other.Bytes));

        public void Scale(double factor) => (Requests, Cpu, Bytes) = (Requests * factor, Cpu * factor, Bytes * factor);

        public readonly EndpointLoad At(double rate) => new(Requests * rate, Cpu * rate, Bytes * rate, 0, 0);

        // What two sums of the same numbers differ by is no rest.
        private static double Rest(double all, double part) => all - part is var rest && rest > all * 1e-9 ? rest : 0;
    }

    private sealed class ClientStripe
    {
        private readonly Lock _gate = new();
        private readonly Client[] _cells = new Client[Clients / Stripes];

        /// <summary>Notes what a client uses now; what it used before, if that was not long ago, or 0.</summary>
        public ulong Exchange(ulong client, ulong endpoint, double now, double window)
        {
            lock (_gate)
            {
                ref var cell = ref _cells[client & ((Clients / Stripes) - 1)];
                var last = cell.Name == client && now - cell.At <= window ? cell.Endpoint : 0;
                cell = new Client(client, endpoint, now);
                return last;
            }
        }

        public void Clear()
        {
            lock (_gate) Array.Clear(_cells);
        }
    }

    private record struct Client(ulong Name, ulong Endpoint, double At);
}

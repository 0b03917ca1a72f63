namespace ShardCloud.Crdt.Tests;

/// <summary>The naive model: every addition ever made and an explicit tombstone for every one removed. Joined by plain unions.</summary>
public sealed class Model
{
    public Dictionary<long, Addition> Additions { get; } = [];

    public HashSet<long> Tombstones { get; } = [];

    public IEnumerable<Addition> Live => Additions.Values.Where(addition => !Tombstones.Contains(addition.Id));

    public void Join(Model other)
    {
        foreach (var (id, addition) in other.Additions) Additions[id] = addition;
        Tombstones.UnionWith(other.Tombstones);
    }

    /// <summary>What a reader sees, by place.</summary>
    public SortedDictionary<string, string> View() => new(Live.GroupBy(addition => addition.Place).ToDictionary(
        place => place.Key,
        place => Read(place.First().Way, place.OrderBy(addition => (addition.Epoch, addition.Id)).ToList())), StringComparer.Ordinal);

    private static string Read(Way way, List<Addition> inOrder) => way switch
    {
        Way.Count => inOrder.Sum(addition => addition.Total).ToString(),
        Way.Write => inOrder[^1].Value.ToString(),
        Way.All => string.Join(',', inOrder.Select(addition => addition.Value)),
        Way.Present => "True",
        Way.NoneAgainst => inOrder.All(addition => addition.Total > 0).ToString(),
        Way.ElementsNoneAgainst => string.Join(',', inOrder.GroupBy(addition => addition.Value)
            .Where(votes => votes.All(vote => vote.Total > 0)).Select(votes => votes.Key).Order()),
        Way.LastOfKey => string.Join(',', inOrder.GroupBy(addition => addition.Key).OrderBy(key => key.Key).Select(key => $"{key.Key}={key.Last().Value}@{key.Last().Total}")),
        _ => string.Join(',', inOrder.Select(addition => addition.Value).Distinct().Order()),
    };

    /// <summary>How live additions of one place read together.</summary>
    public enum Way
    {
        Add,
        Write,
        Count,
        All,
        Present,
        NoneAgainst,
        ElementsNoneAgainst,
        LastOfKey,
    }

    public sealed record Addition(long Id, long Epoch, Way Way, string Place, Value Value, long Total, Value Key = default);
}

/// <summary>Changes a model and notes what it changed, as a transaction does.</summary>
public sealed class ModelWriter(Model model, long epoch, Func<long> nextId)
{
    public Model Delta { get; } = new();

    public void Add(string place, Value value)
    {
        Remove(place, value);
        Put(new(nextId(), epoch, Model.Way.Add, place, value, 0));
    }

    public void Remove(string place, Value value) => Bury(addition => addition.Place == place && addition.Value == value);

    /// <summary>A place, or everything below it.</summary>
    public void RemoveAll(string place) => Bury(addition => addition.Place.StartsWith(place, StringComparison.Ordinal));

    public void Write(string place, Value value, Model.Way way = Model.Way.Write, long total = 0)
    {
        RemoveAll(place);
        Put(new(nextId(), epoch, way, place, value, total));
    }

    public void Vote(string place, Value element, bool isFor)
    {
        Remove(place, element);
        Put(new(nextId(), epoch, Model.Way.ElementsNoneAgainst, place, element, isFor ? 1 : 0));
    }

    public void Append(string place, Value value) => Put(new(nextId(), epoch, Model.Way.All, place, value, 0));

    public void TrimTo(string place, int count)
    {
        var live = model.Live.Where(addition => addition.Place == place).OrderBy(addition => (addition.Epoch, addition.Id)).ToList();
        var old = live.Take(Math.Max(0, live.Count - count)).Select(addition => addition.Id).ToHashSet();
        Bury(addition => old.Contains(addition.Id));
    }

    public void Put(string place, Value key, Value value, long deadline)
    {
        Bury(addition => addition.Place == place && addition.Key == key);
        Put(new(nextId(), epoch, Model.Way.LastOfKey, place, value, deadline, key));
    }

    public void Expire(string place, long now)
    {
        var past = model.Live.Where(addition => addition.Place == place).GroupBy(addition => addition.Key)
            .Where(key => key.MaxBy(addition => (addition.Epoch, addition.Id))!.Total <= now).Select(key => key.Key).ToHashSet();
        Bury(addition => addition.Place == place && past.Contains(addition.Key));
    }

    public void Count(string place, long amount)
    {
        var total = model.Live.Where(addition => addition.Place == place && addition.Epoch == epoch).Sum(addition => addition.Total) + amount;
        Bury(addition => addition.Place == place && addition.Epoch == epoch);
        Put(new(nextId(), epoch, Model.Way.Count, place, default, total));
    }

    private void Put(Model.Addition addition)
    {
        model.Additions[addition.Id] = addition;
        Delta.Additions[addition.Id] = addition;
    }

    private void Bury(Func<Model.Addition, bool> which)
    {
        foreach (var addition in model.Live.Where(which).ToList())
        {
            model.Tombstones.Add(addition.Id);
            Delta.Tombstones.Add(addition.Id);
        }
    }
}

public static class DocumentView
{
    /// <summary>What a reader of the document sees, in the words of <see cref="Model.View"/>.</summary>
    public static SortedDictionary<string, string> View(this Document document)
    {
        var view = new SortedDictionary<string, string>(StringComparer.Ordinal);
        Fields(document.Fields, "", view);
        foreach (var record in document.Requests) view[$"request {record.Id}"] = record.Status.ToString();
        return view;
    }

    public static HashSet<Dot> LiveDots(this Document document)
    {
        var dots = new DotList(default);
        document.CollectDots(ref dots);
        var live = dots.Span.ToArray().ToHashSet();
        dots.Dispose();
        return live;
    }

    private static void Fields(OrMap map, string prefix, SortedDictionary<string, string> view)
    {
        foreach (var ((name, kind), _) in map.Values)
        {
            var place = $"{prefix}{name}:{kind}";
            if (kind == FieldKind.Map) Fields(map.Map(name), place + "/", view);
            else view[place] = kind switch
            {
                FieldKind.Counter => map.Counter(name).ToString(),
                FieldKind.GrowCounter => map.GrowCounter(name).ToString(),
                FieldKind.BoundedCounter => map.BoundedCounter(name).ToString(),
                FieldKind.Register => map.Register(name).ToString(),
                FieldKind.MultiValueRegister => string.Join(',', map.MultiValueRegister(name)),
                FieldKind.Set => string.Join(',', map.Set(name).Items),
                FieldKind.RemoveWinsSet => string.Join(',', map.RemoveWinsSet(name).Items),
                FieldKind.Flag => map.Flag(name).ToString(),
                FieldKind.DisableWinsFlag => map.DisableWinsFlag(name).ToString(),
                FieldKind.List => string.Join(',', map.List(name).Items),
                FieldKind.ExpiringMap => string.Join(',', map.ExpiringMap(name).Entries.Select(entry => $"{entry.Key}={entry.Value}@{entry.Deadline.ToUnixTimeMilliseconds()}")),
                _ => "?",
            };
        }
    }
}

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
        place => place.First() switch
        {
            { Way: Way.Count } => place.Sum(addition => addition.Total).ToString(),
            { Way: Way.Write } => place.MaxBy(addition => (addition.Epoch, addition.Id))!.Value.ToString(),
            _ => string.Join(',', place.Select(addition => addition.Value).Distinct().Order()),
        }), StringComparer.Ordinal);

    public enum Way
    {
        Add,
        Write,
        Count,
    }

    public sealed record Addition(long Id, long Epoch, Way Way, string Place, Value Value, long Total);
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

    public void Write(string place, Value value)
    {
        RemoveAll(place);
        Put(new(nextId(), epoch, Model.Way.Write, place, value, 0));
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

    private static void Fields(OrMap map, string prefix, SortedDictionary<string, string> view)
    {
        foreach (var (name, value) in map.Values)
        {
            var place = $"{prefix}{name}:{value.Kind}";
            if (value is OrMap inner) Fields(inner, place + "/", view);
            else view[place] = value switch
            {
                PnCounter counter => counter.Value.ToString(),
                LwwRegister register => register.Value.ToString(),
                AddWinsSet set => string.Join(',', set.Items),
                _ => "?",
            };
        }
    }
}

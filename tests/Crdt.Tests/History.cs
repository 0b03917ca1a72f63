using CsCheck;

namespace ShardCloud.Crdt.Tests;

/// <summary>A join to be judged: the product's, or one that is broken on purpose.</summary>
public delegate Document Join(Document left, Document right);

/// <summary>One thing that happens in a history. The numbers are taken modulo what there is, so every combination means something and shrinks well.</summary>
public readonly record struct Step(int Replica, int Action, int Key, int Argument);

/// <summary>Generators of histories.</summary>
public static class Histories
{
    public const int Replicas = 3;

    public static readonly Gen<Step> Step = Gen.Select(Gen.Int[0, 2], Gen.Int[0, World.Actions - 1], Gen.Int[0, 2], Gen.Int[0, 11], (r, a, k, x) => new Step(r, a, k, x));

    public static readonly Gen<Step[]> Any = Step.Array[1, 60];

    /// <summary>A history from a seed; with a type given, one that changes mostly fields of that type.</summary>
    public static Step[] Random(int seed, FieldKind? mostly = null)
    {
        var random = new Random(seed);
        var changes = mostly is null ? [.. Enumerable.Range(0, 30)] : World.ChangesOf(mostly.Value);
        return Enumerable.Range(0, random.Next(1, 60)).Select(_ => new Step(random.Next(3),
            random.Next(5) < 2 ? random.Next(10) : 10 + changes[random.Next(changes.Length)], random.Next(3), random.Next(12))).ToArray();
    }
}

/// <summary>
/// Three replicas, each writing under epochs of its own, that exchange deltas with loss, repeats and reordering, and now and then whole states.
/// Beside each document runs the naive model, which sees the same changes and the same deliveries.
/// </summary>
public sealed class World
{
    public const int Actions = 40;

    private readonly Join _join;
    private readonly long[] _next = [1, 1, 1];
    private long _epochs;
    private long _ids;

    public World(Join join, IEnumerable<Step> steps, Action<World, int>? afterEach = null)
        : this(join, steps, Document.Empty, 0, afterEach)
    {
    }

    /// <summary>Replicas that start from a document, under epochs above a closed one. The models know only what happens from here on.</summary>
    public World(Join join, IEnumerable<Step> steps, Document start, long closed, Action<World, int>? afterEach = null)
    {
        _join = join;
        _epochs = closed + Histories.Replicas;
        Epochs = [new(closed + 1), new(closed + 2), new(closed + 3)];
        States = [start, start, start];
        foreach (var step in steps)
        {
            Run(step);
            afterEach?.Invoke(this, step.Replica % Histories.Replicas);
        }
    }

    public Document[] States { get; }

    public Model[] Models { get; } = [new(), new(), new()];

    public Epoch[] Epochs { get; }

    public List<(Document Before, Delta Delta, Document After, Model Model)> Commits { get; } = [];

    /// <summary>Every document seen on the way: states and the content of deltas.</summary>
    public List<Document> Reached { get; } = [Document.Empty];

    /// <summary>What all additions to the counter "c0" come to.</summary>
    public long CounterSum { get; private set; }

    private void Run(Step step)
    {
        var r = step.Replica % Histories.Replicas;
        switch (step.Action)
        {
            case < 8 when Commits.Count > 0:
                // Any delta at any time: late, early, again. What is never picked is lost.
                var commit = Commits[step.Argument * 7919 % Commits.Count];
                Deliver(r, commit.Delta, commit.Model);
                return;
            case 8:
                var from = step.Key % Histories.Replicas;
                States[r] = _join(States[r], States[from]);
                Models[r].Join(Models[from]);
                Reached.Add(States[r]);
                return;
            case 9:
                // The replica comes back under a new grant.
                Epochs[r] = new Epoch(++_epochs);
                _next[r] = 1;
                return;
            default:
                Commit(r, step);
                return;
        }
    }

    public void Deliver(int r, Delta delta, Model model)
    {
        States[r] = _join(States[r], delta.Changes);
        Models[r].Join(model);
        Reached.Add(States[r]);
    }

    private void Commit(int r, Step step)
    {
        // One to three changes in one transaction, so that a delta has several dots and touches one place more than once.
        var before = States[r];
        var transaction = new DocumentTransaction(before, Epochs[r], _next[r]);
        var writer = new ModelWriter(Models[r], Epochs[r].Value, () => ++_ids);
        var changes = 1 + (step.Argument % 3);
        for (var i = 0; i < changes; i++) Change(transaction, writer, step.Action - 10 + (i * 7), (step.Key + i) % 3, step.Argument + i);
        var delta = transaction.Commit(out var after, out var next);
        if (delta.IsEmpty) return;

        States[r] = after;
        _next[r] = next;
        Commits.Add((before, delta, after, writer.Delta));
        Reached.Add(after);
        Reached.Add(delta.Changes);
    }

    /// <summary>The cases of <see cref="Change"/> that concern a type.</summary>
    public static int[] ChangesOf(FieldKind kind) => kind switch
    {
        FieldKind.Counter => [0],
        FieldKind.Set => [1, 2, 3, 4],
        FieldKind.Register => [5, 6, 7],
        FieldKind.Map => [8, 9, 10, 11, 29],
        FieldKind.GrowCounter => [14],
        FieldKind.BoundedCounter => [15, 16],
        FieldKind.RemoveWinsSet => [17, 18],
        FieldKind.MultiValueRegister => [19, 20, 21],
        FieldKind.Flag or FieldKind.DisableWinsFlag => [22, 23],
        FieldKind.List => [24, 25, 26],
        FieldKind.ExpiringMap => [27, 28],
        _ => throw new ArgumentOutOfRangeException(nameof(kind)),
    };

    private void Change(DocumentTransaction transaction, ModelWriter model, int action, int key, int argument)
    {
        var element = Value.Of(argument % 4);
        var few = key % 2; // The rarer types in fewer places, so that replicas meet there.
        switch ((action + 30) % 30)
        {
            case 0:
                var amount = argument - 5;
                if (amount == 0) return;
                CounterSum += key == 0 ? amount : 0;
                transaction.Counter($"c{key}").Add(amount);
                model.Count($"c{key}:Counter", amount);
                break;
            case 1 or 2:
                transaction.Set($"s{key}").Add(element);
                model.Add($"s{key}:Set", element);
                break;
            case 3:
                transaction.Set($"s{key}").Remove(element);
                model.Remove($"s{key}:Set", element);
                break;
            case 4:
                transaction.Set($"s{key}").Clear();
                model.RemoveAll($"s{key}:Set");
                break;
            case 5 or 6:
                transaction.Register($"r{key}").Set(argument);
                model.Write($"r{key}:Register", argument);
                break;
            case 7:
                transaction.Register($"r{key}").Clear();
                model.RemoveAll($"r{key}:Register");
                break;
            case 8:
                transaction.Map("m").Counter($"k{key}").Add(argument + 1);
                model.Count($"m:Map/k{key}:Counter", argument + 1);
                break;
            case 9:
                transaction.Map("m").Map("inner").Set($"k{key}").Add(element);
                model.Add($"m:Map/inner:Map/k{key}:Set", element);
                break;
            case 10:
                transaction.Map("m").Register($"w{key}").Set(argument);
                model.Write($"m:Map/w{key}:Register", argument);
                break;
            case 11:
                var removed = (argument % 4) switch { 0 => "inner", 1 => $"k{key}", 2 => $"w{key}", _ => $"n{few}" };
                transaction.Map("m").Remove(removed);
                model.RemoveAll($"m:Map/{removed}:");
                break;
            case 12:
                transaction.AddRequestRecord(new RequestRecord($"q{key}", (ushort)(200 + argument), "text/plain", new[] { (byte)argument }, 7, 1_000 + argument));
                model.Write($"request q{key}", 200 + argument);
                break;
            case 13:
                transaction.DropRequestRecord($"q{key}");
                model.RemoveAll($"request q{key}");
                break;
            case 14:
                if (argument == 0) return;
                transaction.GrowCounter($"g{few}").Add(argument);
                model.Count($"g{few}:GrowCounter", argument);
                break;
            case 15 or 16:
                // Each replica keeps to the bounds by what it sees; what a merge gives is what the model gives.
                if (argument != 6 && transaction.BoundedCounter($"b{few}", 0, 20).TryAdd(argument - 6)) model.Count($"b{few}:BoundedCounter", argument - 6);
                break;
            case 17:
                transaction.RemoveWinsSet($"v{few}").Add(element);
                model.Vote($"v{few}:RemoveWinsSet", element, true);
                break;
            case 18:
                transaction.RemoveWinsSet($"v{few}").Forbid(element);
                model.Vote($"v{few}:RemoveWinsSet", element, false);
                break;
            case 19 or 20:
                transaction.MultiValueRegister($"mv{few}").Set(argument);
                model.Write($"mv{few}:MultiValueRegister", argument, Model.Way.All);
                break;
            case 21:
                transaction.MultiValueRegister($"mv{few}").Clear();
                model.RemoveAll($"mv{few}:MultiValueRegister");
                break;
            case 22 or 23:
                var (flag, other) = (transaction.Flag("ew"), transaction.DisableWinsFlag("dw"));
                if (argument % 2 == 0)
                {
                    flag.Enable();
                    other.Enable();
                    model.Write("ew:Flag", default, Model.Way.Present);
                    model.Write("dw:DisableWinsFlag", default, Model.Way.NoneAgainst, 1);
                    break;
                }
                if (other.IsEnabled) model.Write("dw:DisableWinsFlag", default, Model.Way.NoneAgainst, 0);
                flag.Disable();
                other.Disable();
                model.RemoveAll("ew:Flag");
                break;
            case 24 or 25:
                transaction.List($"l{few}").Append(argument);
                model.Append($"l{few}:List", argument);
                break;
            case 26:
                transaction.List($"l{few}").TrimTo(argument % 4);
                model.TrimTo($"l{few}:List", argument % 4);
                break;
            case 27:
                transaction.ExpiringMap($"x{few}").Set(element, argument, DateTimeOffset.FromUnixTimeMilliseconds(argument));
                model.Put($"x{few}:ExpiringMap", element, argument, argument);
                break;
            case 28:
                transaction.ExpiringMap($"x{few}").RemoveExpired(DateTimeOffset.FromUnixTimeMilliseconds(argument / 2));
                model.Expire($"x{few}:ExpiringMap", argument / 2);
                break;
            case 29:
                transaction.Map("m").List($"n{few}").Append(argument);
                model.Append($"m:Map/n{few}:List", argument);
                break;
        }
    }
}

using CsCheck;

namespace ShardCloud.Crdt.Tests;

public sealed class TableTests
{
    private readonly record struct Number(int Value) : IComparable<Number>, IWeighed
    {
        public int Weight => 1 + (Value % 3);

        public int CompareTo(Number other) => Value.CompareTo(other.Value);
    }

    /// <summary>Any mix of sets and removals, far past one chunk, in sessions that share chunks, holds what a sorted dictionary holds; older tables stay as they were.</summary>
    [Fact]
    public void Table_AnyChangesInAnySessions_AgreesWithASortedDictionary() =>
        Gen.Select(Gen.Int[0, 400], Gen.Int[0, 7]).Array[0, 900].Sample(changes =>
        {
            var (table, model, stamp) = (default(Table<Number, Number>), new SortedDictionary<int, int>(), Stamps.Next());
            var older = new List<(Table<Number, Number> Table, (int, int)[] Content)>();
            foreach (var (key, action) in changes)
            {
                if (action == 7 && older.Count < 8)
                {
                    older.Add((table, Content(table)));
                    (table, stamp) = (table.Copy(), Stamps.Next());
                }
                else if (action < 3)
                {
                    if (table.Find(new(key), out var at))
                    {
                        var next = table.Remove(at, stamp);
                        Assert.Equal(model.Keys.Where(other => other > key).Take(1), From(table, next).Take(1));
                    }
                    model.Remove(key);
                }
                else
                {
                    if (table.Find(new(key), out var at)) table.Replace(at, new(action), table[at].Value.Weight, stamp);
                    else Assert.Equal(key, table[table.Insert(at, new(key), new(action), stamp)].Key.Value);
                    model[key] = action;
                }
                Assert.Equal(model.ContainsKey(key), table.Find(new(key), out _));
            }

            Assert.Equal(model.Select(entry => (entry.Key, entry.Value)), Content(table));
            Assert.Equal(model.Count, table.Count);
            Assert.Equal(model.Sum(entry => 1 + (entry.Key % 3) + 1 + (entry.Value % 3)), table.Weight);
            table.Find(new(123), out var from);
            Assert.Equal(model.Keys.Where(key => key >= 123), From(table, from));
            Assert.All(older, then => Assert.Equal(then.Content, Content(then.Table)));
        }, iter: 300, threads: 1);

    private static (int, int)[] Content(Table<Number, Number> table)
    {
        var content = new List<(int, int)>();
        foreach (ref readonly var entry in table) content.Add((entry.Key.Value, entry.Value.Value));
        return content.ToArray();
    }

    private static List<int> From(Table<Number, Number> table, Table<Number, Number>.Cursor at)
    {
        var keys = new List<int>();
        for (; table.IsAt(at); at = table.Next(at)) keys.Add(table[at].Key.Value);
        return keys;
    }
}

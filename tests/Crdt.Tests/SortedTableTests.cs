using CsCheck;

namespace ShardCloud.Crdt.Tests;

public sealed class SortedTableTests
{
    private readonly record struct Number(int Value) : IComparable<Number>, IWeighed
    {
        public int Weight => 1 + (Value % 3);

        public int CompareTo(Number other) => Value.CompareTo(other.Value);
    }

    private readonly struct DropEven : IRewriter<Number, Number>
    {
        public Verdict Visit(in Number key, ref Number value) => key.Value % 2 == 0 ? Verdict.Drop : Verdict.Keep;
    }

    /// <summary>Any mix of sets and removals, far past one chunk, holds what a sorted dictionary holds, and older tables stay as they were.</summary>
    [Fact]
    public void Table_AnyChanges_AgreesWithASortedDictionary() =>
        Gen.Select(Gen.Int[0, 400], Gen.Int[0, 3]).Array[0, 900].Sample(changes =>
        {
            var (table, model) = (SortedTable<Number, Number>.Empty, new SortedDictionary<int, int>());
            foreach (var (key, action) in changes)
            {
                var before = (Table: table, table.Count);
                if (action == 0)
                {
                    table = table.Remove(new(key));
                    model.Remove(key);
                }
                else
                {
                    table = table.Set(new(key), new(action));
                    model[key] = action;
                }
                Assert.Equal(before.Count, before.Table.Count);
                Assert.Equal(model.ContainsKey(key), table.Contains(new(key)));
            }

            Assert.Equal(model.Select(entry => (entry.Key, entry.Value)), table.Select(entry => (entry.Key.Value, entry.Value.Value)));
            Assert.Equal(model.Count, table.Count);
            Assert.Equal(model.Sum(entry => 1 + (entry.Key % 3) + 1 + (entry.Value % 3)), table.Weight);
            Assert.Equal(model.Keys.Where(key => key >= 123), From(table, 123));
            Assert.Equal(model.Keys.Where(key => key % 2 == 1), table.Rewrite(default(DropEven)).Select(entry => entry.Key.Value));
        }, iter: 300, threads: 1);

    private static List<int> From(SortedTable<Number, Number> table, int start)
    {
        var keys = new List<int>();
        for (var entry = table.From(new(start)); entry.MoveNext();) keys.Add(entry.Current.Key.Value);
        return keys;
    }
}

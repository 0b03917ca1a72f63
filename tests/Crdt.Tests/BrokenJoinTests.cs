namespace ShardCloud.Crdt.Tests;

/// <summary>The laws can fail: each join here is broken on purpose, and some law must report it. The table is in docs/protocol/state-codec.md.</summary>
public sealed class BrokenJoinTests(ITestOutputHelper output)
{
    public static readonly TheoryData<string> Names = new(Broken.Joins.Keys);

    [Theory]
    [MemberData(nameof(Names))]
    public void Laws_BrokenJoin_ReportAViolation(string name)
    {
        var (join, expected) = Broken.Joins[name];
        var caught = Enumerable.Range(0, 60).SelectMany(seed => Laws.BrokenBy(join, Histories.Random(seed))).ToHashSet();

        output.WriteLine($"{name}: {string.Join(", ", caught.Order(StringComparer.Ordinal))}");
        Assert.Contains(expected, caught);
    }

    [Fact]
    public void Laws_TheProductsJoin_ReportNothing() =>
        Assert.Empty(Enumerable.Range(0, 60).SelectMany(seed => Laws.BrokenBy(Document.Join, Histories.Random(seed))));
}

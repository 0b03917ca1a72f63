namespace ShardCloud.Crdt.Tests;

/// <summary>The laws can fail: each join here is broken on purpose, and some law must report it. The table is in docs/protocol/state-codec.md.</summary>
public sealed class BrokenJoinTests(ITestOutputHelper output)
{
    public static readonly TheoryData<string> Names = new(Broken.Joins.Keys);

    [Theory]
    [MemberData(nameof(Names))]
    public void Laws_BrokenJoin_ReportAViolation(string name)
    {
        var (join, expected, kind) = Broken.Joins[name];
        var seed = Enumerable.Range(0, 1_000).First(seed => Laws.IsBroken(expected, join, Histories.Random(seed, kind)));
        output.WriteLine($"{name}: {expected} reports it in history {seed}");
    }

    [Fact]
    public void Laws_TheProductsJoin_ReportNothing() =>
        Assert.Empty(Enumerable.Range(0, 25).SelectMany(seed => Laws.BrokenBy(Document.Join, Histories.Random(seed))));
}

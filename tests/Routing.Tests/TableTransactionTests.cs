using Azure;
using Azure.Data.Tables;

namespace ShardCloud.Routing.Tests;

public sealed class TableTransactionTests
{
    [Fact]
    public void Add_RowOfAnotherPartition_Throws() =>
        Assert.Equal(ErrorCodes.CommitAcrossPartitions, Code(() => new TableTransaction().Insert(new TableEntity("a", "1")).Insert(new TableEntity("b", "2"))));

    [Fact]
    public void Add_SameRowTwice_Throws() =>
        Assert.Equal(ErrorCodes.CommitAcrossPartitions, Code(() => new TableTransaction().Insert(new TableEntity("a", "1")).Replace(new TableEntity("a", "1"), ETag.All)));

    [Fact]
    public void Add_HundredAndFirstAction_Throws()
    {
        var transaction = new TableTransaction();
        for (var i = 0; i < TableTransaction.ActionsMax; i++) transaction.Insert(new TableEntity("a", $"{i}"));
        Assert.Equal(ErrorCodes.CommitTooLarge, Code(() => transaction.Insert(new TableEntity("a", "last"))));
        Assert.Equal(TableTransaction.ActionsMax, transaction.Actions.Count);
    }

    [Fact]
    public void Add_PastFourMebibytes_Throws()
    {
        var transaction = new TableTransaction();
        for (var i = 0; i < 4; i++) transaction.Insert(new TableEntity("a", $"{i}") { ["Text"] = new string('x', 500_000) });
        Assert.Equal(ErrorCodes.CommitTooLarge, Code(() => transaction.Insert(new TableEntity("a", "4") { ["Text"] = new string('x', 500_000) })));
    }

    [Fact]
    public void ChangeRow_LargestCommit_FitsAndReadsBack()
    {
        // 97 keys of 512 bytes each: as JSON more than one property may hold, so it is compressed and split.
        var random = new Random(5);
        var entries = Enumerable.Range(0, MapCommit.EntriesMax).Select(i => EntryKey.Of(new EndpointId($"rooms/{i:D3}" + string.Concat(Enumerable.Range(0, 503).Select(_ => (char)random.Next('!', '~')))))).ToArray();
        var change = new MapChange(new MapVersion(9), Build.At, Build.Commit(new PlanMove(entries, Build.S, Build.D)));
        var row = ChangeRows.Row("app", change, "id");
        Assert.False(row.ContainsKey("Json"));
        Assert.All(row, property => Assert.True(property.Value is not string text || text.Length <= 32_768));
        Assert.All(row, property => Assert.True(property.Value is not byte[] bytes || bytes.Length <= 65_536));
        Assert.Equal(MapJson.Write(change), MapJson.Write(ChangeRows.Read(row)));
    }

    private static string Code(Action action) => Assert.Throws<ShardCloudException>(action).Code;
}

using ShardCloud.Orchestrator.Records;

namespace ShardCloud.Orchestrator.Tests.Records;

public sealed class TextChunksTests
{
    [Fact]
    public void Split_LongestListOfLongestKeys_FitsTheLimitAndComesBack()
    {
        var items = Enumerable.Range(0, 1_000).Select(i => $"{i:D4}/{new string('ä', 250)}\"").ToList();

        var chunks = TextChunks.Split(items);

        Assert.All(chunks, chunk => Assert.InRange(chunk.Length, 2, TextChunks.LengthMax));
        Assert.Equal(items, chunks.SelectMany(TextChunks.Join));
    }

    [Fact]
    public void Split_NoItems_NoChunks() => Assert.Empty(TextChunks.Split([]));
}

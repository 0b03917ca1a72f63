using Microsoft.AspNetCore.Http;
using ShardCloud.ShardRuntime.Requests;

namespace ShardCloud.ShardRuntime.Tests.Requests;

public sealed class RequestBodyTests
{
    [Fact]
    public async Task Small_CanBeReadAgainAndAgain()
    {
        var body = await RequestBody.ReadAsync(Request(new byte[100], length: 100), limit: 100);

        Assert.True(body.IsWhole);
        Assert.Equal(100, await Drain(body.Open()));
        Assert.Equal(100, await Drain(body.Open()));
        Assert.True(body.CanRepeat);
    }

    [Fact]
    public async Task KnownLarge_IsNotTouchedBeforeSomebodyReadsIt()
    {
        var source = new MemoryStream(new byte[1000]);
        var body = await RequestBody.ReadAsync(Request(source, length: 1000), limit: 100);

        Assert.Equal(0, source.Position);
        Assert.False(body.IsWhole);
        Assert.True(body.CanRepeat);
        Assert.Equal(1000, await Drain(body.Open()));
        Assert.False(body.CanRepeat);
    }

    [Fact]
    public async Task LargeWithoutLength_StartsWithWhatWasReadAhead()
    {
        var bytes = Enumerable.Range(0, 50_000).Select(i => (byte)i).ToArray();
        var body = await RequestBody.ReadAsync(Request(bytes, length: null), limit: 100);

        Assert.True(body.CanRepeat);
        var copy = new MemoryStream();
        await body.Open().CopyToAsync(copy);
        Assert.Equal(bytes, copy.ToArray());
        Assert.False(body.CanRepeat);
    }

    private static async Task<int> Drain(Stream stream)
    {
        var copy = new MemoryStream();
        await stream.CopyToAsync(copy);
        return (int)copy.Length;
    }

    private static DefaultHttpContext Request(byte[] bytes, long? length) => Request(new MemoryStream(bytes), length);

    private static DefaultHttpContext Request(Stream body, long? length) => new() { Request = { Method = "POST", Body = body, ContentLength = length } };
}

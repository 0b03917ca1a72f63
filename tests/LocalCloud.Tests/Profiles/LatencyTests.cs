using ShardCloud.LocalCloud.Profiles;

namespace ShardCloud.LocalCloud.Tests.Profiles;

public sealed class LatencyTests
{
    [Theory]
    [InlineData(15, 150)]
    [InlineData(10, 60)]
    [InlineData(5, 5)]
    public void Samples_HaveTheWishedPercentiles(double p50, double p99)
    {
        var random = new Random(7);
        var samples = Enumerable.Range(0, 100_000).Select(_ => new Latency(p50, p99).Sample(random).TotalMilliseconds).Order().ToArray();

        Assert.InRange(samples[50_000], p50 * 0.97, p50 * 1.03);
        Assert.InRange(samples[99_000], p99 * 0.93, p99 * 1.07);
        Assert.InRange(samples[^1], p99, Latency.MaxMs);
    }

    [Fact]
    public void Zero_IsNoWait() => Assert.Equal(TimeSpan.Zero, new Latency(0, 0).Sample(new Random(1)));

    [Fact]
    public void Profile_FromAFile_KeepsTheDefaultsOfWhatItDoesNotName()
    {
        var file = Path.GetTempFileName();
        File.WriteAllText(file, """{"log":{"p50Ms":1,"p99Ms":2},"throttledOneIn":0}""");

        var profile = CloudProfile.Read(file);

        Assert.Equal((new Latency(1, 2), new Latency(10, 60), 0), (profile.Log, profile.Tables, profile.ThrottledOneIn));
        File.Delete(file);
    }

    [Theory]
    [InlineData("""{"log":{"p50Ms":10,"p99Ms":2}}""", "p99Ms")]
    [InlineData("""{"logs":{}}""", "logs")]
    [InlineData("""{"stallMs":-1}""", "stallMs")]
    [InlineData("null", "null")]
    [InlineData("{", "JSON")]
    public void Profile_Bad_IsRefusedWithWhatIsWrong(string json, string named)
    {
        var file = Path.GetTempFileName();
        File.WriteAllText(file, json);

        var error = Assert.Throws<ShardCloudException>(() => CloudProfile.Read(file));

        Assert.Equal(ErrorCodes.BadProfile, error.Code);
        Assert.Contains(named, error.Message, StringComparison.OrdinalIgnoreCase);
        File.Delete(file);
    }
}

namespace ShardCloud.ShardRuntime.Tests.Hosting;

public sealed class OptionsTests
{
    [Fact]
    public void Complete_IsAccepted() => Assert.True(new OptionsCheck().Validate(null, Options(_ => { })).Succeeded);

    public static readonly TheoryData<string, Action<ShardRuntimeOptions>> Broken = new()
    {
        { "ShardCloud:Shard", o => o.Shard = "Shard 1" },
        { "Application", o => o.Application = "" },
        { "KeyFile", o => o.Auth.KeyFile = "" },
        { "BootstrapServers", o => o.Log.BootstrapServers = "" },
        { "ShardCloud:Proxy", o => o.Proxy.HopsMax = 0 },
        { "ShardCloud:Parking", o => o.Parking.TotalMax = 0 },
        { "ShardCloud:Lease", o => o.Lease.Length = TimeSpan.Zero },
        { "Ack", o => o.Ack = "maybe" },
        { "RecordsExpireAfter", o => o.Lease.Length = TimeSpan.FromMinutes(1) }, // Parked for 76 s, remembered for 120 s.
        { "RecordsExpireAfter", o => o.Parking.TimeMax = TimeSpan.FromMinutes(2) },
    };

    [Theory]
    [MemberData(nameof(Broken))]
    public void Broken_IsRefusedByName(string named, Action<ShardRuntimeOptions> breaks)
    {
        var result = new OptionsCheck().Validate(null, Options(breaks));
        Assert.Contains(named, result.FailureMessage);
        Assert.Single(result.Failures!);
    }

    private static ShardRuntimeOptions Options(Action<ShardRuntimeOptions> change)
    {
        var options = new ShardRuntimeOptions { Application = "rooms", Shard = "shard-1", Auth = { KeyFile = "key" }, Log = { BootstrapServers = "127.0.0.1:9092" } };
        change(options);
        return options;
    }
}

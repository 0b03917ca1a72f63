using System.Collections.Concurrent;
using Azure.Core;
using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Shards.AppService;

namespace ShardCloud.Orchestrator.Tests.Shards.AppService;

/// <summary>A shard host on a fake Azure, in which no pause takes long.</summary>
internal static class TestSites
{
    public const string Application = "rooms";

    public static AppServiceSettings Settings() => new()
    {
        SubscriptionId = FakeArm.Subscription,
        ResourceGroup = FakeArm.Group,
        Location = "westeurope",
        Plans = [FakeArm.PlanId("plan-1"), FakeArm.PlanId("plan-2")],
        Subnet = $"/subscriptions/{FakeArm.Subscription}/resourceGroups/{FakeArm.Group}/providers/Microsoft.Network/virtualNetworks/net/subnets/shards",
        MembersIdentity = $"/subscriptions/{FakeArm.Subscription}/resourceGroups/{FakeArm.Group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/members",
        MembersClientId = "22222222-2222-2222-2222-222222222222",
        PackagesUrl = new Uri("https://account.blob.core.windows.net/packages"),
        NamePrefix = "contoso-rooms",
        Calls = new ArmCallSettings { TriesMax = 3, Pause = TimeSpan.FromMilliseconds(1), AnswerWithin = TimeSpan.FromSeconds(20), FinishWithin = TimeSpan.FromSeconds(60) },
    };

    public static AppServiceShardHost Host(FakeArm fake, AppServiceSettings? settings = null, TimeProvider? time = null, IReadOnlyDictionary<string, string>? environment = null, string application = Application)
    {
        settings ??= Settings();
        Assert.Null(settings.Fault());
        time ??= new HastyTime();
        var arm = new ArmCalls(new TestCredential(), FakeArm.Subscription, settings.Calls, time, fake.Transport);
        return new AppServiceShardHost(arm, settings, application, environment ?? new Dictionary<string, string>(), FindAsync, time);
    }

    /// <summary>Published: every version but 9.9.9.</summary>
    private static Task<PublishedPackage?> FindAsync(string version, CancellationToken cancellationToken) => Task.FromResult(
        version == "9.9.9" ? null : new PublishedPackage(version, 1, "00", ["dotnet", "Rooms.dll", "--motd", "it's open"], DateTimeOffset.UnixEpoch));
}

/// <summary>A token without asking anybody.</summary>
internal sealed class TestCredential : TokenCredential
{
    public override AccessToken GetToken(TokenRequestContext requestContext, CancellationToken cancellationToken) => new("token", DateTimeOffset.MaxValue);

    public override ValueTask<AccessToken> GetTokenAsync(TokenRequestContext requestContext, CancellationToken cancellationToken) => new(GetToken(requestContext, cancellationToken));
}

/// <summary>The system's time, but every pause is over at once; it remembers how long they should have been.</summary>
internal sealed class HastyTime : TimeProvider
{
    public ConcurrentQueue<TimeSpan> Pauses { get; } = new();

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        Pauses.Enqueue(dueTime);
        return base.CreateTimer(callback, state, TimeSpan.Zero, period);
    }
}

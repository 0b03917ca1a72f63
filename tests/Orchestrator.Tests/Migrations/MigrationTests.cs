using System.Net;
using System.Net.Http.Json;
using Microsoft.Extensions.DependencyInjection;
using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Migrations;
using ShardCloud.Orchestrator.Tests.Support;
using ShardCloud.Routing;
using ShardCloud.Tests;

namespace ShardCloud.Orchestrator.Tests.Migrations;

/// <summary>Migrations through the API, the handler's envelopes, the real activities and a real map; the members play their part over HTTP/2.</summary>
[Collection(AzuriteCollection.Name)]
public sealed class MigrationTests(AzuriteFixture azurite) : IAsyncLifetime
{
    private static readonly EndpointId Room = new("rooms/1");

    private TestCloud _cloud = null!;

    public async ValueTask InitializeAsync() => _cloud = await TestCloud.WithShardsAsync(azurite, TimeSpan.FromSeconds(2), "shard-1", "shard-2", "shard-3");

    public ValueTask DisposeAsync() => _cloud.DisposeAsync();

    [Fact]
    public async Task Migration_OfSomeEndpoints_IsDoneAndExplained()
    {
        var router = await _cloud.JoinAsync("router-1", TimeSpan.FromSeconds(2), MemberRole.Router);
        var id = await _cloud.StartAsync("shard-2", "rooms/1", "rooms/2");

        var record = await _cloud.FinishedAsync(id);

        Assert.Equal(MigrationOutcome.Done, record.Outcome);
        Assert.Equal((7, 9, 9, 11), (record.Costs.PauseP50Ms, record.Costs.PauseP99Ms, record.Costs.PauseMaxMs, record.Costs.MaxWaitMs));
        Assert.Equal(["plan", "seal", "warm"], record.Costs.PhasesMs.Keys.Order());
        Assert.Equal((100, 5, 6), (record.Costs.Bytes, record.Costs.Parked, record.Costs.Forwarded));
        Assert.Contains("GET /_shard/route", router.Seen);
        Assert.Contains("POST /_shard/map/changed", router.Seen);
        var owner = (await _cloud.Client().GetFromJsonAsync("/api/map?endpoint=/rooms/1", ManagementJson.Default.EndpointOwner, TestContext.Current.CancellationToken))!;
        Assert.Equal(("shard-2", id, "a test", true), (owner.Shard, owner.Migration, owner.Reason, owner.Placed));
        Assert.Equal(record.Batches[0].GrantedVersion, owner.Epoch);
    }

    [Fact]
    public async Task Migration_TakesFewActivities()
    {
        var id = await _cloud.StartAsync("shard-2", "rooms/1");

        await _cloud.FinishedAsync(id);
        await _cloud.Hub.CompletionAsync(id);

        Assert.Equal(
            ["PlanHandoff", "WarmAndCatchUp", "VerifyDestination", "GoAndAwaitGrant", "PublishAndRetire", "RecordBatch", "RecordMigration"],
            _cloud.Hub.Calls.Where(call => call.StartsWith(id, StringComparison.Ordinal)).Select(call => call[(id.Length + 1)..]));
    }

    [Fact]
    public async Task Migration_FromSeveralSources_HasABatchForEach()
    {
        await _cloud.FinishedAsync(await _cloud.StartAsync("shard-2", "rooms/1"));

        var record = await _cloud.FinishedAsync(await _cloud.StartAsync("shard-3", "rooms/1", "rooms/2"));

        Assert.Equal(MigrationOutcome.Done, record.Outcome);
        Assert.Equal(["shard-1", "shard-2"], record.Batches.Select(batch => new IncarnationId(batch.From).Shard.Value).Order());
    }

    [Fact]
    public async Task Migration_OfWhatIsThere_IsDoneAtOnceAndReportedAsSuch()
    {
        var record = await _cloud.FinishedAsync(await _cloud.StartAsync("shard-1", "rooms/1"));

        Assert.Equal((MigrationOutcome.Done, 0), (record.Outcome, record.Batches.Count));
        Assert.Equal(["rooms/1"], record.AlreadyThere);
    }

    [Fact]
    public async Task Migration_Of200Endpoints_GoesInBatchesOf97()
    {
        var record = await _cloud.FinishedAsync(await _cloud.StartAsync("shard-2", [.. Enumerable.Range(0, 200).Select(i => $"rooms/{i}")]));

        Assert.Equal((MigrationOutcome.Done, "97,97,6"), (record.Outcome, string.Join(',', record.Batches.Select(batch => batch.Entries.Count))));
        var map = await _cloud.Store.LoadAsync(TestContext.Current.CancellationToken);
        Assert.All(Enumerable.Range(0, 200), i => Assert.Equal("shard-2", map.Lookup(new EndpointId($"rooms/{i}"))!.Owner.Shard.Value));
    }

    [Fact]
    public async Task Post_WhileAnotherMovesAnEndpoint_Is409WithItsId()
    {
        _cloud.Member("shard-2").HoldBefore = HandoffPhase.Warm;
        var first = await _cloud.StartAsync("shard-2", "rooms/1");
        await UnderWayAsync();

        var second = await _cloud.MigrateAsync("shard-3", "rooms/9", "rooms/1");

        var problem = await TestCloud.ProblemAsync(second);
        Assert.Equal((HttpStatusCode.Conflict, ErrorCodes.AlreadyMoving, first), (second.StatusCode, problem.Code, problem.Id));
    }

    [Fact]
    public async Task Plan_WhenAnotherWasFasterAfterThePost_EndsAsConflictWithItsId()
    {
        // The record is written as by a POST that saw nothing, then another commit takes the endpoint before the orchestration starts.
        var planner = _cloud.Services.GetRequiredService<MigrationPlanner>();
        var store = _cloud.Services.GetRequiredService<MigrationStore>();
        var map = await _cloud.Store.LoadAsync(TestContext.Current.CancellationToken);
        var loser = planner.Plan(map, "migrate-loser", [EntryKey.Of(Room)], new ShardId("shard-3"), "a test", "olga");
        await store.CreateAsync(loser, TestContext.Current.CancellationToken);
        var (from, to) = (_cloud.Member("shard-1").Incarnation, _cloud.Member("shard-2").Incarnation);
        await _cloud.Store.CommitAsync(_ => new MapCommit("migrate-winner", "a test", [new PlanMove([EntryKey.Of(Room)], from, to)]));

        _cloud.Hub.TryStart(loser.Id, nameof(MigrateEndpoints), $$"""{"id":"{{loser.Id}}","batches":1,"parallel":4}""", OrchestratorServices.OrchestrationVersion);

        var record = await _cloud.FinishedAsync(loser.Id);
        Assert.Equal((MigrationOutcome.Conflict, "migrate-winner"), (record.Outcome, record.ConflictWith));
        Assert.Equal(to, (await _cloud.Store.LoadAsync(TestContext.Current.CancellationToken)).Lookup(Room)!.To);
    }

    [Fact]
    public async Task Cancel_BeforeTheGrant_LeavesTheSourceInOffice()
    {
        _cloud.Member("shard-2").HoldBefore = HandoffPhase.Granted;
        var id = await _cloud.StartAsync("shard-2", "rooms/1");
        var handoff = (await UnderWayAsync()).Handoff;

        var cancelled = await _cloud.SendAsync(HttpMethod.Post, $"/api/migrations/{id}/cancel");

        Assert.Equal(HttpStatusCode.Accepted, cancelled.StatusCode);
        Assert.Equal(MigrationOutcome.Cancelled, (await _cloud.FinishedAsync(id)).Outcome);
        var entry = (await _cloud.Store.LoadAsync(TestContext.Current.CancellationToken)).Lookup(Room)!;
        Assert.Equal((_cloud.Member("shard-1").Incarnation, false), (entry.Owner, entry.IsMigrating));
        Assert.Contains($"POST /_shard/handoffs/{handoff.Value}/cancelled", _cloud.Member("shard-1").Seen);
    }

    [Fact]
    public async Task Cancel_AfterTheGrant_Is409AndItGoesForward()
    {
        _cloud.Member("shard-2").HoldBefore = HandoffPhase.Retired;
        var id = await _cloud.StartAsync("shard-2", "rooms/1");
        await OwnedByAsync("shard-2");

        var cancelled = await _cloud.SendAsync(HttpMethod.Post, $"/api/migrations/{id}/cancel");
        _cloud.Member("shard-2").HoldBefore = null;

        Assert.Equal((HttpStatusCode.Conflict, ErrorCodes.TooLateToCancel), (cancelled.StatusCode, (await TestCloud.ProblemAsync(cancelled)).Code));
        Assert.Equal(MigrationOutcome.Done, (await _cloud.FinishedAsync(id)).Outcome);
    }

    [Fact]
    public async Task Destination_KilledBeforeTheGrant_IsCancelledAndTheSourceServesOn()
    {
        _cloud.Member("shard-2").HoldBefore = HandoffPhase.Granted;
        var id = await _cloud.StartAsync("shard-2", "rooms/1");
        await UnderWayAsync();

        await _cloud.Member("shard-2").KillAsync();

        var record = await _cloud.FinishedAsync(id);
        Assert.Equal((MigrationOutcome.Cancelled, ErrorCodes.MemberUnreachable), (record.Outcome, record.Error?.Code));
        var entry = (await _cloud.Store.LoadAsync(TestContext.Current.CancellationToken)).Lookup(Room)!;
        Assert.Equal((_cloud.Member("shard-1").Incarnation, false), (entry.Owner, entry.IsMigrating));
    }

    [Fact]
    public async Task Source_KilledAfterTheGrant_IsFencedAndTheDestinationRetiresInItsPlace()
    {
        _cloud.Member("shard-2").RetiresOnlyWhenAsked = true;
        var id = await _cloud.StartAsync("shard-2", "rooms/1");
        await OwnedByAsync("shard-2");

        await _cloud.Member("shard-1").KillAsync();

        Assert.Equal(MigrationOutcome.Done, (await _cloud.FinishedAsync(id)).Outcome);
        var map = await _cloud.Store.LoadAsync(TestContext.Current.CancellationToken);
        Assert.True(map.IsFenced(_cloud.Member("shard-1").Incarnation));
        Assert.Equal(MemberState.Fenced, (await _cloud.Leases.ReadAsync(_cloud.Member("shard-1").Incarnation, TestContext.Current.CancellationToken))!.State);
    }

    /// <summary>The destination is the backup of the source: when that dies before the grant it has the endpoint by a take-over, and its handoff is over.</summary>
    [Fact]
    public async Task Source_TakenOverFromByTheDestinationBeforeTheGrant_EndsTheMigration()
    {
        var destination = _cloud.Member("shard-2");
        destination.HoldBefore = HandoffPhase.Granted;
        var id = await _cloud.StartAsync("shard-2", "rooms/1");
        await Wait.ForAsync(() => Task.FromResult(destination.Seen.ToList()), seen => seen.Any(call => call.EndsWith("/go", StringComparison.Ordinal)), "the word to seal and grant");
        var source = _cloud.Member("shard-1").Incarnation;
        var commit = await _cloud.Store.CommitAsync(_ => new MapCommit("take-over", "", [new Fence(source), new Redirect(source, destination.Incarnation)]));
        Assert.True(commit.IsCommitted, $"{commit.Refusal}");
        destination.HoldBefore = null;

        Assert.Equal(MigrationOutcome.Done, (await _cloud.FinishedAsync(id)).Outcome);
    }

    [Fact]
    public async Task Source_AliveButSlowToRetire_IsNotFenced()
    {
        _cloud.Member("shard-2").RetiresOnlyWhenAsked = true;
        var id = await _cloud.StartAsync("shard-2", "rooms/1");
        var row = await _cloud.Leases.ReadAsync(_cloud.Member("shard-1").Incarnation, TestContext.Current.CancellationToken);

        // Three lease lengths of renewals go by while the orchestration watches.
        await Wait.ForAsync(() => _cloud.Leases.ReadAsync(row!.Incarnation), now => now!.RenewalCount > row!.RenewalCount + 15, "three lease lengths");

        Assert.False((await _cloud.Store.LoadAsync(TestContext.Current.CancellationToken)).IsFenced(row!.Incarnation));
        Assert.Equal(MigrationState.Running, (await _cloud.ReadMigrationAsync(id)).State);
        _cloud.Member("shard-2").RetiresOnlyWhenAsked = false;
        Assert.Equal(MigrationOutcome.Done, (await _cloud.FinishedAsync(id)).Outcome);
    }

    [Fact]
    public async Task Post_RepeatedWithItsKey_IsTheSameMigration()
    {
        const string Body = """{"endpoints":["rooms/1"],"to":"shard-2"}""";
        _cloud.Member("shard-2").HoldBefore = HandoffPhase.Warm;

        var first = await _cloud.SendAsync(HttpMethod.Post, "/api/migrations", Body, key: "k1");
        await UnderWayAsync();
        var again = await _cloud.SendAsync(HttpMethod.Post, "/api/migrations", Body, key: "k1");
        var other = await _cloud.SendAsync(HttpMethod.Post, "/api/migrations", Body.Replace("shard-2", "shard-3", StringComparison.Ordinal), key: "k1");

        Assert.Equal((HttpStatusCode.Accepted, HttpStatusCode.Accepted), (first.StatusCode, again.StatusCode));
        Assert.Equal(first.Headers.Location, again.Headers.Location);
        Assert.Equal((HttpStatusCode.UnprocessableEntity, ErrorCodes.IdempotencyKeyReused), (other.StatusCode, (await TestCloud.ProblemAsync(other)).Code));
        Assert.Single((await _cloud.Services.ListMigrationsAsync()).Migrations);
    }

    [Fact]
    public async Task Monitor_FindsAMigrationThatNobodyWorksOn_AndItGoesOnWithTheSameHandoff()
    {
        _cloud.Member("shard-2").HoldBefore = HandoffPhase.Warm;
        var id = await _cloud.StartAsync("shard-2", "rooms/1");
        var handoff = (await UnderWayAsync()).Handoff;
        _cloud.Hub.Lose(id);

        _cloud.Member("shard-2").HoldBefore = null;
        await MonitorAt(TimeProvider.System).TickAsync(TestContext.Current.CancellationToken);
        Assert.Null(_cloud.Hub.Find(id)); // Too young: whoever wrote the record may still be starting it.
        await MonitorAt(new InAMinute()).TickAsync(TestContext.Current.CancellationToken);

        var record = await _cloud.FinishedAsync(id);
        Assert.Equal((MigrationOutcome.Done, handoff.Value), (record.Outcome, record.Batches[0].Handoff));
    }

    /// <summary>The Orchestrator was away when the grant came, and when another took over from who was granted: it was moved all the same, and an update must not move it again.</summary>
    [Fact]
    public async Task Granted_AndSomebodyElsesBeforeAnybodyLooked_IsDone()
    {
        _cloud.Member("shard-2").HoldBefore = HandoffPhase.Granted;
        var id = await _cloud.StartAsync("shard-2", "rooms/1");
        var handoff = (await UnderWayAsync()).Handoff;
        await Wait.ForAsync(() => _cloud.ReadMigrationAsync(id), migration => migration.Batches[0].Handoff is not null, "the record of the plan");
        _cloud.Hub.Lose(id);
        var (second, third) = (_cloud.Member("shard-2").Incarnation, _cloud.Member("shard-3").Incarnation);
        foreach (var operation in (MapOperation[])[new GrantMove(handoff, [EntryKey.Of(Room)], second), new Fence(second), new Redirect(second, third)])
        {
            var commit = await _cloud.Store.CommitAsync(_ => new MapCommit("test", "", [operation]));
            Assert.True(commit.IsCommitted, $"{commit.Refusal}");
        }

        await MonitorAt(new InAMinute()).TickAsync(TestContext.Current.CancellationToken);

        var record = await _cloud.FinishedAsync(id);
        Assert.True(record.Outcome == MigrationOutcome.Done, $"{record.Outcome}: {record.Error}");
    }

    private Housekeeping.Monitor MonitorAt(TimeProvider time) => _cloud.MonitorAt(time);

    private Task<MapEntry> UnderWayAsync() => EntryAsync(entry => entry.IsMigrating, "the plan");

    private Task<MapEntry> OwnedByAsync(string shard) => EntryAsync(entry => entry.Owner.Shard.Value == shard, $"{shard} to own the room");

    private Task<MapEntry> EntryAsync(Func<MapEntry, bool> fits, string what) => Wait.ForAsync(async () => (await _cloud.Store.LoadAsync()).Lookup(Room)!, fits, what);

    private sealed class InAMinute : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => base.GetUtcNow().AddMinutes(1);
    }
}

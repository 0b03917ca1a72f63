using System.IO.Compression;
using System.Net;
using System.Net.Http.Json;
using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Tests.Support;
using ShardCloud.Placement;
using ShardCloud.Routing;
using ShardCloud.Tests;

namespace ShardCloud.Orchestrator.Tests.Updates;

/// <summary>A cloud of two shards at 1.0.0, four placed endpoints, and a published 2.0.0.</summary>
public static class UpdateCloud
{
    /// <summary>Short in every respect.</summary>
    public const string Quick = """{"waves":[10,100],"stableSeconds":1,"retrySeconds":5,"verify":{"shadowCompared":50,"seconds":5}}""";

    private static readonly TimeSpan Lease = TimeSpan.FromSeconds(30);

    public static async Task<TestCloud> StartAsync(AzuriteFixture azurite)
    {
        var cloud = await TestCloud.WithShardsAsync(azurite, Lease, "shard-1", "shard-2");
        cloud.Host.Lease = Lease;
        var half = new SlotRange(8_192, 8_192);
        await MoveAsync(cloud, "shard-2", [EntryKey.Of(half)]);
        await MoveAsync(cloud, "shard-2", [.. Enumerable.Range(1, 2).Select(i => EntryKey.Of(new EndpointId($"rooms/{i}")))]);
        await MoveAsync(cloud, "shard-1", [.. Enumerable.Range(3, 2).Select(i => EntryKey.Of(new EndpointId($"rooms/{i}")))]);
        return cloud;
    }

    /// <summary>Publishes a package of this version.</summary>
    public static async Task PublishAsync(this TestCloud cloud, string version)
    {
        var upload = (await (await cloud.SendAsync(HttpMethod.Post, "/api/packages/uploads")).Content.ReadFromJsonAsync(ManagementJson.Default.PackageUpload))!;
        var bytes = new MemoryStream();
        using (var zip = new ZipArchive(bytes, ZipArchiveMode.Create, leaveOpen: true))
        {
            Write("shardcloud.json", $$"""{"version":"{{version}}","command":["dotnet","App.dll"]}""");
            Write("App.dll", "an application");

            void Write(string name, string text)
            {
                using var writer = new StreamWriter(zip.CreateEntry(name).Open());
                writer.Write(text);
            }
        }
        using var http = new HttpClient();
        using var put = new HttpRequestMessage(HttpMethod.Put, upload.Url) { Content = new ByteArrayContent(bytes.ToArray()), Headers = { { "x-ms-blob-type", "BlockBlob" } } };
        using var written = await http.SendAsync(put);
        Assert.Equal(HttpStatusCode.Created, written.StatusCode);
        using var published = await cloud.SendAsync(HttpMethod.Post, "/api/packages", $$"""{"upload":"{{upload.Upload}}"}""");
        Assert.Equal(HttpStatusCode.Created, published.StatusCode);
    }

    public static Task<HttpResponseMessage> PostUpdateAsync(this TestCloud cloud, string version, string strategy, string? key = null) =>
        cloud.SendAsync(HttpMethod.Post, "/api/updates", $$"""{"version":"{{version}}","strategy":{{strategy}}}""", key);

    /// <summary>Starts an update and returns its id.</summary>
    public static async Task<string> UpdateAsync(this TestCloud cloud, string strategy = Quick, string version = "2.0.0")
    {
        using var response = await cloud.PostUpdateAsync(version, strategy);
        Assert.True(response.StatusCode == HttpStatusCode.Accepted, await response.Content.ReadAsStringAsync());
        var id = (await response.Content.ReadFromJsonAsync(UpdateJson.Default.UpdateAccepted))!.Id;
        Assert.Equal($"/api/updates/{id}", response.Headers.Location?.ToString());
        return id;
    }

    public static async Task<StagedUpdate> ReadUpdateAsync(this TestCloud cloud, string id) => (await cloud.Client().GetFromJsonAsync($"/api/updates/{id}", UpdateJson.Default.StagedUpdate))!;

    public static Task<StagedUpdate> UntilAsync(this TestCloud cloud, string id, Func<StagedUpdate, bool> fits, string what) => Wait.ForAsync(() => cloud.ReadUpdateAsync(id), fits, what);

    public static Task<StagedUpdate> EndOfAsync(this TestCloud cloud, string id) => cloud.UntilAsync(id, update => update.State == UpdateState.Finished, $"{id} to end");

    /// <summary>Every plan that an update's record names, as it is stored: each must have its hash, and give the same bytes again.</summary>
    public static async Task<IReadOnlyList<(UpdatePlanRef Named, PlanReplay Replay)>> ReplayAsync(this TestCloud cloud, string id)
    {
        var found = new List<(UpdatePlanRef, PlanReplay)>();
        foreach (var plan in (await cloud.Client().GetFromJsonAsync($"/api/updates/{id}/plans", UpdateJson.Default.UpdatePlanList))!.Plans)
        {
            var bytes = await cloud.Client().GetByteArrayAsync(new Uri($"/api/updates/{id}/plans/{plan.Number}", UriKind.Relative));
            Assert.Equal((plan.Sha256, plan.Bytes), (PlanFile.HashOf(bytes), bytes.Length));
            var replay = PlanReplay.Of(bytes);
            Assert.Null(replay.Difference);
            found.Add((plan, replay));
        }
        return found;
    }

    /// <summary>Who owns what, by shard: every slot and every placed endpoint that clients can name.</summary>
    public static async Task<string> OwnersAsync(this TestCloud cloud)
    {
        var map = await cloud.Store.LoadAsync();
        var slots = Enumerable.Range(0, Slot.Count).Select(slot => map.LookupSlot(new Slot((ushort)slot))!.Owner.Shard.Value);
        var placed = map.Placed.Where(placed => !placed.Endpoint.Value.StartsWith("_shard/", StringComparison.Ordinal)).OrderBy(placed => placed.Endpoint.Value, StringComparer.Ordinal)
            .Select(placed => $"{placed.Endpoint}={placed.Entry.Owner.Shard}");
        return string.Join(' ', Runs(slots).Concat(placed));
    }

    /// <summary>Versions of the live shards.</summary>
    public static async Task<IReadOnlyList<string>> LiveAsync(this TestCloud cloud) =>
        [.. (await cloud.Store.LoadAsync()).Live.Values.Select(member => $"{member.Incarnation.Shard} {member.ApplicationVersion}").Order(StringComparer.Ordinal)];

    private static IEnumerable<string> Runs(IEnumerable<string> owners)
    {
        var (last, count) = ("", 0);
        foreach (var owner in owners.Append(""))
        {
            if (owner != last && count > 0) yield return $"{count}x{last}";
            (last, count) = owner == last ? (last, count + 1) : (owner, 1);
        }
    }

    private static async Task MoveAsync(TestCloud cloud, string to, IReadOnlyList<EntryKey> entries)
    {
        var destination = cloud.Member(to).Incarnation;
        foreach (var group in entries.ToLookup(entry => entry))
        {
            var map = await cloud.Store.LoadAsync();
            var from = (group.Key.IsEndpoint ? map.Lookup(group.Key.Endpoint) : map.LookupSlot(new Slot((ushort)group.Key.Slots.First)))!.Owner;
            if (from == destination)
            {
                var other = map.Live.Keys.First(incarnation => incarnation != destination); // There and back, so that it has an entry of its own.
                await GrantAsync(cloud, group.Key, from, other);
                from = other;
            }
            await GrantAsync(cloud, group.Key, from, destination);
        }
    }

    private static async Task GrantAsync(TestCloud cloud, EntryKey entry, IncarnationId from, IncarnationId to)
    {
        var planned = await cloud.Store.CommitAsync(_ => new MapCommit("test", "set up", [new PlanMove([entry], from, to)]));
        var granted = await cloud.Store.CommitAsync(_ => new MapCommit("test", "set up", [new GrantMove(new HandoffId(planned.Version.Value), [entry], to)]));
        Assert.Equal(CommitOutcome.Committed, granted.Outcome);
    }
}

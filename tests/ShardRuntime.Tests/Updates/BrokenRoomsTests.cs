using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using ShardCloud.Contracts;
using ShardCloud.ShardRuntime.Tests.Hosting;

namespace ShardCloud.ShardRuntime.Tests.Updates;

/// <summary>The faults of samples/Rooms.Broken: each shows where it should, and no check before that one sees it.</summary>
public sealed class BrokenRoomsTests : IAsyncLifetime
{
    private readonly TestCluster _cluster = new();
    private TestMember _member = null!;

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public ValueTask DisposeAsync() => _cluster.DisposeAsync();

    [Theory]
    [InlineData(null, true)]
    [InlineData("probe", false)]
    [InlineData("shadow", true)]
    [InlineData("errors", true)]
    [InlineData("latency", true)]
    [InlineData("arrival", true)]
    public async Task Probes_FailForTheFaultOfThatNameOnly(string? fault, bool passes)
    {
        await StartAsync(fault);
        using var request = new HttpRequestMessage(HttpMethod.Post, "/_shard/probes") { Version = HttpVersion.Version20, VersionPolicy = HttpVersionPolicy.RequestVersionExact, Content = JsonContent.Create(new { seconds = 30 }) };
        await request.Content.LoadIntoBufferAsync(TestContext.Current.CancellationToken); // With a length.
        request.Headers.Add("X-Shard-Token", _member.Token());

        using var response = await _member.MemberClient.SendAsync(request, TestContext.Current.CancellationToken);
        var report = (await response.Content.ReadFromJsonAsync(MemberJson.Default.ProbeReport, TestContext.Current.CancellationToken))!;

        Assert.Contains(report.Results, result => result.Name is not null);
        Assert.True(report.Results.All(result => result.Passed) == passes, string.Join(" | ", report.Results.Select(result => result.Error)));
    }

    [Theory]
    [InlineData(null, 4)]
    [InlineData("errors", 4)]
    [InlineData("probe", 0)]
    [InlineData("shadow", 3)]
    public async Task Readers_OfARoomWithFourVisits_AreToldSoMany(string? fault, int told)
    {
        await StartAsync(fault);
        for (var visit = 0; visit < 4; visit++) Assert.Equal(HttpStatusCode.OK, await VisitAsync());

        Assert.Equal(told, (await _member.Client.GetFromJsonAsync<JsonElement>("/rooms/1", TestContext.Current.CancellationToken)).GetProperty("value").GetInt64());
    }

    [Fact]
    public async Task Errors_UnderLoad_AreOneChangeInTwenty()
    {
        await StartAsync("errors");
        for (var visit = 0; visit < 120; visit++) await VisitAsync();

        var failed = 0;
        for (var visit = 0; visit < 40; visit++) failed += await VisitAsync() == HttpStatusCode.InternalServerError ? 1 : 0;

        Assert.Equal(2, failed);
    }

    [Theory]
    [InlineData("start", "does not start")]
    [InlineData("sunshine", "no fault 'sunshine'")]
    public async Task Start_IsRefused(string fault, string said) =>
        Assert.Contains(said, (await Assert.ThrowsAsync<InvalidOperationException>(() => StartAsync(fault))).Message, StringComparison.Ordinal);

    private async Task<HttpStatusCode> VisitAsync()
    {
        using var response = await _member.Client.PostAsync("/rooms/1/increment", null, TestContext.Current.CancellationToken);
        return response.StatusCode;
    }

    private async Task StartAsync(string? fault)
    {
        _member = await _cluster.StartAsync("shard-1", rooms: false, settings: new() { ["fault"] = fault }, map: app =>
        {
            // As samples/Rooms/Program.cs has them.
            var room = app.MapShardEndpoint(TestCluster.Template);
            room.MapPost("/increment", (HttpContext context) => context.EndpointState().Counter("visits").Increment());
            room.MapGet("", (string room, HttpContext context) => new RoomView(room, context.EndpointState().Counter("visits").Value, [], "shard-1", "2.1.0", null));
            room.WithProbe("counts", "probe", probe => probe
                .Post("/increment").Expect(200)
                .Get().Expect(200).Expect(answer => answer.Json.GetProperty("value").GetInt64() == 1, "the visit is counted"));
            Fault.Into(room);
        });
        _cluster.GrantAll(_member);
    }
}

using System.Net;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using ShardCloud.Orchestrator.Tests.Support;
using ShardCloud.Tests;

namespace ShardCloud.Orchestrator.Tests.Management;

/// <summary>The table of docs/operating/identity.md, cell by cell, for every route that there is.</summary>
public sealed class AuthorisationTests(AzuriteFixture azurite) : IClassFixture<AzuriteFixture>, IAsyncDisposable
{
    private readonly TestCloud _cloud = new(azurite);

    public ValueTask DisposeAsync() => _cloud.DisposeAsync();

    public static TheoryData<string, string, string> Cells() => AuthorisationTable.Cells(call => call.Contains("/api/", StringComparison.Ordinal));

    [Theory]
    [MemberData(nameof(Cells))]
    public async Task Cell_OfTheTable_IsSo(string call, string caller, string expected)
    {
        var routes = Routes().Where(route => RowOf(route.Method, route.Path) == call).ToList();
        Assert.NotEmpty(routes);
        using var client = _cloud.Client(caller == "nobody" ? null : caller);

        foreach (var (method, path) in routes)
        {
            using var request = new HttpRequestMessage(new HttpMethod(method), path.Replace("{id}", "none", StringComparison.Ordinal).Replace("{version}", "1.0.0", StringComparison.Ordinal).Replace("{number}", "1", StringComparison.Ordinal));
            using var response = await client.SendAsync(request, TestContext.Current.CancellationToken);
            var was = response.StatusCode switch { HttpStatusCode.Unauthorized => "401", HttpStatusCode.Forbidden => "403", _ => "yes" };
            Assert.True(was == expected, $"{method} {path} by {caller}: {was}, expected {expected}");
        }
    }

    private static string RowOf(string method, string path) =>
        $"{method} {path}" is "POST /api/take-overs" or "POST /api/shutdown" ? $"{method} {path}" : method is "GET" ? "GET /api/*" : "CHANGE /api/*";

    private IEnumerable<(string Method, string Path)> Routes() =>
        from route in _cloud.Services.GetRequiredService<EndpointDataSource>().Endpoints.OfType<RouteEndpoint>()
        where route.RoutePattern.RawText!.StartsWith("/api/", StringComparison.Ordinal)
        from method in route.Metadata.GetRequiredMetadata<HttpMethodMetadata>().HttpMethods
        select (method, route.RoutePattern.RawText!);
}

using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Routing;
using ShardCloud.Orchestrator.Management;

namespace ShardCloud.Orchestrator.Tests.Management;

/// <summary>The document and the code list the same routes.</summary>
public sealed partial class OpenApiTests
{
    [Fact]
    public void Document_And_Routes_AreTheSame() => Assert.Equal(InDocument(), InCode());

    private static SortedSet<string> InCode()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Services.AddOrchestrator(); // Routes bind their handlers from it; nothing is started.
        var app = builder.Build();
        app.MapManagementApi();
        var routes = ((IEndpointRouteBuilder)app).DataSources.SelectMany(source => source.Endpoints).OfType<RouteEndpoint>();
        return [.. routes.SelectMany(route => route.Metadata.GetRequiredMetadata<HttpMethodMetadata>().HttpMethods
            .Select(method => $"{method} {route.RoutePattern.RawText!["/api".Length..]}"))];
    }

    private static SortedSet<string> InDocument()
    {
        var found = new SortedSet<string>();
        var path = "";
        foreach (var line in File.ReadLines(Path.Combine(AppContext.BaseDirectory, "openapi.yaml")))
        {
            if (PathLine().Match(line) is { Success: true } at) path = at.Groups[1].Value;
            else if (MethodLine().Match(line) is { Success: true } method && path.Length > 0) found.Add($"{method.Groups[1].Value.ToUpperInvariant()} {path}");
            else if (line.StartsWith("components:", StringComparison.Ordinal)) break;
        }
        return found;
    }

    [GeneratedRegex("^  (/[^:]*):$")]
    private static partial Regex PathLine();

    [GeneratedRegex("^    (get|put|post|delete|patch|head|options):$")]
    private static partial Regex MethodLine();
}

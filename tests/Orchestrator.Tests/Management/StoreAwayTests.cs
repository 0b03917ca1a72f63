using Azure;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging.Abstractions;
using ShardCloud.Contracts;
using ShardCloud.Identity;
using ShardCloud.Orchestrator.Management;

namespace ShardCloud.Orchestrator.Tests.Management;

/// <summary>What a caller is told while Storage is away.</summary>
public sealed class StoreAwayTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("shardcloud-").FullName;

    public static TheoryData<Exception> Failures => new()
    {
        new RequestFailedException(503, "busy"),
        new RequestFailedException(0, "Connection refused"),
        new AggregateException("Retry failed after 4 tries.", new RequestFailedException(0, "Connection refused"), new RequestFailedException(0, "Connection refused")), // What the client throws when no try got an answer.
    };

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [MemberData(nameof(Failures), DisableDiscoveryEnumeration = true)]
    public async Task Read_WhileStorageIsAway_SaysThatItMayBeRepeated(Exception failure)
    {
        var key = LocalKey.LoadOrCreate(Path.Combine(_folder, "key"));
        var gate = new ManagementGate(_ => throw failure, new TokenValidator(key, Audiences.Management), null!, NullLogger<ManagementGate>.Instance);
        var context = new DefaultHttpContext { Response = { Body = new MemoryStream() } };
        context.Request.Method = "GET";
        context.Request.Path = "/api/status";
        context.Request.Headers.Authorization = "Bearer " + new TokenIssuer(key).Issue("test", Roles.Operator, Audiences.Management, TimeSpan.FromMinutes(1));

        await gate.InvokeAsync(context);

        context.Response.Body.Position = 0;
        var problem = await System.Text.Json.JsonSerializer.DeserializeAsync(context.Response.Body, ManagementJson.Default.Problem, TestContext.Current.CancellationToken);
        Assert.Equal((503, ErrorCodes.StoreUnavailable), (context.Response.StatusCode, problem!.Code));
    }
}

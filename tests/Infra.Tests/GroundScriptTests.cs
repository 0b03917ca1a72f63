using System.Diagnostics;
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace ShardCloud.Infra.Tests;

/// <summary>The scripts that deploy.yml runs: environment in, files and an exit code out.</summary>
public sealed class GroundScriptTests : IDisposable
{
    private static readonly string[] Programs = ["bash", "curl", "jq"];

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("shardcloud-test-");

    public GroundScriptTests()
    {
        var folders = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator);
        foreach (var program in Programs) Assert.SkipUnless(OperatingSystem.IsLinux() && folders.Any(folder => File.Exists(Path.Combine(folder, program))), $"There is no {program} on this machine, or it is not Linux.");
    }

    [Fact]
    public async Task Ground_Up_SaysWhatItDid_AndHandsOnWhatComesOfIt()
    {
        await FakePulumiAsync("""if [ "$1" = up ]; then echo "+ 70 created \`\`\`"; else echo '{"orchestratorUrl":"https://o","audience":"api://a","applicationVersion":"2.0.0","routerUrls":["https://r"]}'; fi""");

        var (exit, said, outputs, summary) = await GroundAsync("up");

        Assert.True(exit == 0, said);
        Assert.Equal(["up --stack prod --non-interactive --color never --suppress-outputs --yes --skip-preview, passphrase ''", "stack output --stack prod --json, passphrase ''"], await CallsAsync());
        Assert.Equal(["orchestrator=https://o", "audience=api://a", "version=2.0.0", """routers=["https://r"]"""], outputs);
        Assert.StartsWith("### pulumi up, stack prod: done\n```\n+ 70 created ` ` `\n```", summary, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Ground_PreviewThatFails_FailsTheJob_AndSaysSo()
    {
        await FakePulumiAsync("echo 'error: no'; exit 255");

        var (exit, _, outputs, summary) = await GroundAsync("preview");

        Assert.Equal(1, exit);
        Assert.Equal("preview --stack prod --non-interactive --color never --suppress-outputs, passphrase ''", Assert.Single(await CallsAsync()));
        Assert.Empty(outputs);
        Assert.StartsWith("### pulumi preview, stack prod: failed with 255\n```\nerror: no", summary, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Ground_OfSomethingElse_IsRefused() => Assert.Equal(2, (await GroundAsync("destroy")).Exit);

    /// <summary>The Orchestrator first, or it would replace the shards that go.</summary>
    [Fact]
    public async Task GroundEnd_DeletesShards_ThenTheStack_AndTriesAgain()
    {
        await FakeAsync("pulumi", $$$"""
            [ "$2" != export ] || echo '{"deployment":{"resources":[{"type":"azure-native:resources:ResourceGroup","outputs":{"name":"group-1"}}]}}'
            [ "$1" != destroy ] || { [ -f {{{_folder.FullName}}}/tried ] || { touch {{{_folder.FullName}}}/tried; exit 255; }; }
            """);
        await FakeAsync("az", """case "$1 $2" in 'group exists') echo true ;; 'functionapp list') echo orchestrator ;; 'webapp list') printf 'shard-1\nshard-2\n' ;; esac""");

        var (exit, said, _, summary) = await EndAsync("conformance-1");

        Assert.True(exit == 0, said);
        Assert.Equal(
            ["stack output", "stack export", "group exists", "functionapp list", "functionapp stop", "webapp list", "webapp delete", "webapp delete", "destroy --stack", "destroy --stack", "stack rm"],
            (await CallsAsync()).Select(call => string.Join(' ', call.Split(' ', ',').Take(2))));
        Assert.Equal("### The stack conformance-1 is deleted\n", summary);
    }

    /// <summary>Its sites are deleted by who made them; what the list of sites then has is only what that left.</summary>
    [Fact]
    public async Task GroundEnd_AsksTheOrchestratorFirst()
    {
        await using var orchestrator = await StartAsync(isBootstrapped: true, "succeeded");
        await FakeAsync("pulumi", $$$"""
            [ "$2" != output ] || echo '{"orchestratorUrl":"{{{orchestrator.Address}}}","audience":"api://a","application":"rooms"}'
            [ "$2" != export ] || echo '{"deployment":{"resources":[{"type":"azure-native:resources:ResourceGroup","outputs":{"name":"group-1"}}]}}'
            """);
        await FakeAsync("az", """case "$1 $2" in 'account get-access-token') echo a-token ;; 'group exists') echo true ;; esac""");

        var (exit, said, _, _) = await EndAsync("conformance-1");

        Assert.True(exit == 0, said);
        Assert.Equal("""{"cloud":"rooms"}""", Assert.Single(orchestrator.Asked));
        Assert.Contains("running: ending shard-1", said, StringComparison.Ordinal);
        Assert.Contains("Ended: shard-1, shard-2.", said, StringComparison.Ordinal);
        Assert.DoesNotContain(await CallsAsync(), call => call.StartsWith("webapp delete", StringComparison.Ordinal));
    }

    /// <summary>Nothing that costs stays: when the stack cannot be deleted in order, its group is.</summary>
    [Fact]
    public async Task GroundEnd_ThatFails_DeletesTheGroup_AndFailsTheJob()
    {
        await FakeAsync("pulumi", """
            [ "$2" != export ] || echo '{"deployment":{"resources":[{"type":"azure-native:resources:ResourceGroup","outputs":{"name":"group-1"}}]}}'
            [ "$1" != destroy ] || exit 255
            """);
        await FakeAsync("az", """[ "$1 $2" != 'group exists' ] || echo true""");

        var (exit, _, _, summary) = await EndAsync("conformance-1");

        Assert.Equal(1, exit);
        Assert.Contains("group delete --name group-1 --yes", (await CallsAsync())[^1], StringComparison.Ordinal);
        Assert.Equal("### pulumi destroy failed with 255; the group group-1 was deleted whole\n", summary);
    }

    [Fact]
    public async Task GroundEnd_OfAnotherStack_IsRefused()
    {
        await FakeAsync("pulumi", "");

        Assert.Equal(2, (await EndAsync("prod")).Exit);
        Assert.False(File.Exists(Path.Combine(_folder.FullName, "calls")));
    }

    [Fact]
    public async Task Bootstrap_WhereNothingIs_IsFollowedToItsEnd()
    {
        await using var orchestrator = await StartAsync(isBootstrapped: false, "succeeded");

        var (exit, said, _, _) = await BootstrapAsync(orchestrator);

        Assert.True(exit == 0, said);
        Assert.Equal("""{"shards":3,"version":"2.0.0"}""", Assert.Single(orchestrator.Asked));
        Assert.Contains("running: granting slots", said, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Bootstrap_WhereThereIsOne_AsksForNothing()
    {
        await using var orchestrator = await StartAsync(isBootstrapped: true, "succeeded");

        var (exit, said, _, _) = await BootstrapAsync(orchestrator);

        Assert.Equal(0, exit);
        Assert.Empty(orchestrator.Asked);
        Assert.Contains("It is bootstrapped already: 3 shards are ready.", said, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Bootstrap_OfACloudThatWasShutDown_MakesItsShardsAgain()
    {
        await using var orchestrator = await StartAsync(isBootstrapped: true, "succeeded", isEnded: true);

        Assert.Equal(0, (await BootstrapAsync(orchestrator)).Exit);
        Assert.Single(orchestrator.Asked);
    }

    [Fact]
    public async Task Bootstrap_ThatFails_SaysWhy()
    {
        await using var orchestrator = await StartAsync(isBootstrapped: false, "failed");

        var (exit, said, _, _) = await BootstrapAsync(orchestrator);

        Assert.Equal(1, exit);
        Assert.Contains("::error title=Bootstrap::SC5062: No quota. Ask for more.", said, StringComparison.Ordinal);
    }

    public void Dispose() => _folder.Delete(recursive: true);

    private Task<(int Exit, string Said, string[] Outputs, string Summary)> GroundAsync(string what) =>
        RunAsync("ground.sh", [what], ("PULUMI_STACK", "prod"), ("PULUMI_BACKEND_URL", "azblob://state?storage_account=a"), ("PATH", $"{_folder.FullName}:{Environment.GetEnvironmentVariable("PATH")}"));

    private Task<(int Exit, string Said, string[] Outputs, string Summary)> BootstrapAsync(Orchestrator orchestrator) =>
        RunAsync("bootstrap.sh", [], ("SHARDCLOUD_ORCHESTRATOR", orchestrator.Address), ("SHARDCLOUD_TOKEN", "a-token"), ("VERSION", "2.0.0"), ("SHARDS", ""), ("POLL_SECONDS", "0"), ("TITLE", "Bootstrap"));

    private Task<(int Exit, string Said, string[] Outputs, string Summary)> EndAsync(string stack) => RunAsync(
        "ground-end.sh", [], ("PULUMI_STACK", stack), ("PULUMI_BACKEND_URL", "azblob://state?storage_account=a"), ("PAUSE_SECONDS", "0"), ("POLL_SECONDS", "0"), ("PATH", $"{_folder.FullName}:{Environment.GetEnvironmentVariable("PATH")}"));

    private Task FakePulumiAsync(string answers) => FakeAsync("pulumi", answers);

    private async Task FakeAsync(string name, string answers)
    {
        var program = Path.Combine(_folder.FullName, name);
        await File.WriteAllTextAsync(program, $"#!/bin/sh\necho \"$*, passphrase '${{PULUMI_CONFIG_PASSPHRASE-unset}}'\" >> {_folder.FullName}/calls\n{answers}\n");
        if (OperatingSystem.IsLinux()) File.SetUnixFileMode(program, (UnixFileMode)0b111_000_000);
    }

    private Task<string[]> CallsAsync() => File.ReadAllLinesAsync(Path.Combine(_folder.FullName, "calls"));

    private async Task<(int Exit, string Said, string[] Outputs, string Summary)> RunAsync(string script, string[] arguments, params (string Name, string Value)[] environment)
    {
        var (outputs, summary) = (Path.Combine(_folder.FullName, "outputs"), Path.Combine(_folder.FullName, "summary"));
        foreach (var file in (string[])[outputs, summary]) await File.WriteAllTextAsync(file, "");
        var start = new ProcessStartInfo("bash", [Path.Combine(InfraFolder.Repository, ".github", "scripts", script), .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (name, value) in ((string, string)[])[("GITHUB_OUTPUT", outputs), ("GITHUB_STEP_SUMMARY", summary), .. environment]) start.Environment[name] = value;
        using var process = Process.Start(start)!;
        var (said, errors) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        await process.WaitForExitAsync(TestContext.Current.CancellationToken).WaitAsync(TimeSpan.FromSeconds(60));
        return (process.ExitCode, await said + await errors, await File.ReadAllLinesAsync(outputs), await File.ReadAllTextAsync(summary));
    }

    /// <summary>Answers as the management API does: a status, a bootstrap that runs for one look and then ends so.</summary>
    private static async Task<Orchestrator> StartAsync(bool isBootstrapped, string end, bool isEnded = false)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        var app = builder.Build();
        var (asked, looks) = (new List<string>(), 0);
        app.MapGet("/api/status", () => Results.Json(new { bootstrapped = isBootstrapped, ended = isEnded, shardsReady = 3 }));
        app.MapPost("/api/bootstrap", async (HttpRequest request) =>
        {
            using var body = new StreamReader(request.Body);
            asked.Add(await body.ReadToEndAsync());
            return Results.Json(new { id = "bootstrap" }, statusCode: 202);
        });
        app.MapPost("/api/shutdown", async (HttpRequest request) =>
        {
            using var body = new StreamReader(request.Body);
            asked.Add(await body.ReadToEndAsync());
            return Results.Json(new { id = "shutdown" }, statusCode: 202);
        });
        app.MapGet("/api/operations/shutdown", () => Interlocked.Increment(ref looks) == 1
            ? Results.Json(new { state = "running", step = "ending shard-1" })
            : Results.Json(new { state = end, shards = (string[])["shard-1", "shard-2"] }));
        app.MapGet("/api/operations/bootstrap", () => Interlocked.Increment(ref looks) == 1
            ? Results.Json(new { state = "running", step = "granting slots" })
            : Results.Json(new { state = end, error = end == "failed" ? new { code = "SC5062", message = "No quota.", remedy = "Ask for more." } : null }));
        await app.StartAsync();
        return new Orchestrator(app, app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single(), asked);
    }

    private sealed record Orchestrator(WebApplication App, string Address, IReadOnlyList<string> Asked) : IAsyncDisposable
    {
        public ValueTask DisposeAsync() => App.DisposeAsync();
    }
}

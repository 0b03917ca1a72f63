using System.Text.Json.Nodes;
using Azure.Core;
using ShardCloud.Contracts;

namespace ShardCloud.Orchestrator.Shards.AppService;

/// <summary>Shards as sites of Azure App Service: one site an instance, one worker each. Its handle is the site's name. Thread-safe.</summary>
/// <remarks>
/// Normal operation: a creation looks for the site of its operation, chooses a plan, makes the site with one PUT, and switches publishing by password off. An end stops the site, looks until Azure says that it
/// is stopped, and deletes it; never its plan. Breaks: every step may be repeated, by whoever finds it half done; the name is that of the operation, so there is never a second site. What nobody comes back for
/// is an orphan (<see cref="Housekeeping.Orphans"/>). Sites without our tags are never touched. Not promised: that the process of a stopped site has ended; only leases tell.
/// Every outcome: docs/operating/app-service.md.
/// </remarks>
internal sealed class AppServiceShardHost : IShardHost, IDisposable
{
    private const int PagesMax = 50, TypicalSecondsToCreate = 60;

    private readonly ArmCalls _arm;
    private readonly PlanChoice _plans;
    private readonly AppServiceSettings _settings;
    private readonly string _application;
    private readonly IReadOnlyDictionary<string, string> _environment;
    private readonly Func<string, CancellationToken, Task<PublishedPackage?>> _find;
    private readonly TimeProvider _time;
    private readonly SemaphoreSlim _change = new(1, 1); // App Service locks a plan for every change of its sites: two at once are refused.

    /// <param name="arm">Calls to Azure.</param>
    /// <param name="settings">Checked.</param>
    /// <param name="application">Name of the application.</param>
    /// <param name="environment">What every shard is told.</param>
    /// <param name="find">A published version; null where it is none.</param>
    /// <param name="time">For tags.</param>
    public AppServiceShardHost(
        ArmCalls arm, AppServiceSettings settings, string application, IReadOnlyDictionary<string, string> environment, Func<string, CancellationToken, Task<PublishedPackage?>> find, TimeProvider time) =>
        (_arm, _plans, _settings, _application, _environment, _find, _time) = (arm, new PlanChoice(arm, settings), settings, application, environment, find, time);

    private string Sites => $"/subscriptions/{_settings.SubscriptionId}/resourceGroups/{_settings.ResourceGroup}/providers/Microsoft.Web/sites";

    /// <inheritdoc/>
    public Task<ShardHostCapabilities> GetCapabilitiesAsync(CancellationToken cancellationToken) => Task.FromResult(new ShardHostCapabilities(
        ConfirmsDeath: false, OverlapsRestarts: true, StopNotice: true, TypicalSecondsToCreate, (int)_settings.OrphanGrace.TotalSeconds));

    /// <inheritdoc/>
    public Task<ShardInstance> CreateAsync(string operation, ShardId shard, string version, CancellationToken cancellationToken) => WithinAsync($"to create {shard}", async limit =>
    {
        var name = SiteNames.Of(_settings.NamePrefix, _application, shard, operation);
        var site = await ChangeAsync(async () => await FindAsync(name, limit) ?? await MakeAsync(name, operation, shard, version, limit), limit);
        var tags = Ours(site, name);
        if (tags.Operation != operation) throw Foreign(name, $"operation '{tags.Operation}'");
        if (!SiteTags.IsStopped(site)) await CloseAsync(name, limit);
        return tags.ToInstance(site);
    }, cancellationToken);

    /// <inheritdoc/>
    public Task<IReadOnlyList<ShardInstance>> ListAsync(CancellationToken cancellationToken) => WithinAsync<IReadOnlyList<ShardInstance>>("to list the sites", async limit =>
    {
        var sites = await _arm.ListAsync(Sites, PagesMax, limit);
        return [.. from site in sites let tags = SiteTags.Of(site) where tags?.Application == _application orderby tags.Created, tags.Name select tags.ToInstance(site)];
    }, cancellationToken);

    /// <inheritdoc/>
    public Task DeleteAsync(string handle, CancellationToken cancellationToken) => WithinAsync($"to end {handle}", async limit =>
    {
        if (await FindAsync(handle, limit) is not { } site) return true; // Gone: what was wanted.
        _ = Ours(site, handle);
        await StopAsync(handle, site, limit);
        return await ChangeAsync(async () =>
        {
            // The default takes the plan away with its last site.
            await _arm.SendAsync(RequestMethod.Delete, $"{Sites}/{Uri.EscapeDataString(handle)}?deleteEmptyServerFarm=false", null, null, limit);
            return true;
        }, limit);
    }, cancellationToken);

    /// <inheritdoc/>
    public void Dispose() => _change.Dispose();

    private async Task<JsonObject> MakeAsync(string name, string operation, ShardId shard, string version, CancellationToken limit)
    {
        var package = _settings.Image is { Length: > 0 } ? null : await _find(version, limit)
            ?? throw new ShardCloudException(ErrorCodes.UnknownVersion, $"Version '{version}' of the application was not published.", "See 'shardcloud package list'; publish it with 'shardcloud package publish'.");
        var tags = new SiteTags(name, _application, operation, shard.Value, version, _time.GetUtcNow());
        ShardCloudException? full = null;
        foreach (var plan in await _plans.OrderAsync(limit))
        {
            var body = SiteBody.Of(_settings, _environment, tags, plan, package);
            try
            {
                var made = await _arm.SendAsync(RequestMethod.Put, $"{Sites}/{name}", body, hasHappened: token => LookAsync(name, token), limit);
                return made.Body is { } site && !made.IsMissing ? site : throw ArmErrors.Of($"PUT {Sites}/{name}", made.Status, made.Body);
            }
            catch (ShardCloudException error) when (error.Code == ErrorCodes.HostFull)
            {
                full = error; // Another plan may stand on other quota.
            }
        }
        throw full!;
    }

    // The site runs already, and is used once this is done. Off, not unused: a password that exists can be fetched by whoever may list it.
    private async Task CloseAsync(string name, CancellationToken limit)
    {
        foreach (var way in (string[])["scm", "ftp"])
        {
            try
            {
                var body = new JsonObject { ["properties"] = new JsonObject { ["allow"] = false } };
                var answer = await _arm.SendAsync(RequestMethod.Put, $"{Sites}/{name}/basicPublishingCredentialsPolicies/{way}", body, null, limit);
                if (answer.IsMissing) throw ArmErrors.Of($"PUT {way} of {name}", answer.Status, answer.Body);
            }
            catch (ShardCloudException error)
            {
                throw new ShardCloudException(ErrorCodes.SiteIncomplete, $"The site '{name}' was made, but publishing by password could not be switched off ({error.Code}): {error.Message}",
                    "Nothing: the same creation again takes it up there. It ends as an orphan if nobody does.", error);
            }
        }
    }

    private async Task StopAsync(string name, JsonObject site, CancellationToken limit)
    {
        if (SiteTags.IsStopped(site)) return;
        var stopped = await _arm.SendAsync(RequestMethod.Post, $"{Sites}/{name}/stop", null, null, limit);
        if (stopped.IsMissing) return;
        for (var look = 0; await FindAsync(name, limit) is { } seen && !SiteTags.IsStopped(seen); look++)
        {
            if (look == _settings.Calls.TriesMax)
                throw new ShardCloudException(ErrorCodes.StopNotConfirmed, $"Azure took the order to stop '{name}' and still calls it running after {look + 1} looks.", "Nothing: it is tried again by itself. Look at the site in the portal if it stays.");
            await _arm.PauseAsync(look, null, limit);
        }
    }

    private async Task<ArmAnswer?> LookAsync(string name, CancellationToken limit) => await _arm.GetAsync($"{Sites}/{name}", limit) is { IsMissing: false } found ? found : null;

    private async Task<JsonObject?> FindAsync(string name, CancellationToken limit) => (await LookAsync(Uri.EscapeDataString(name), limit))?.Body;

    private SiteTags Ours(JsonObject site, string name) => SiteTags.Of(site) is { } tags && tags.Application == _application ? tags : throw Foreign(name, "somebody else");

    private static ShardCloudException Foreign(string name, string whose) => new(
        ErrorCodes.ForeignSite, $"The site '{name}' is there, and belongs to {whose}.", "Choose another ShardCloud:AppService:NamePrefix. Nothing was changed.");

    private async Task<T> ChangeAsync<T>(Func<Task<T>> change, CancellationToken limit)
    {
        await _change.WaitAsync(limit);
        try
        {
            return await change();
        }
        finally
        {
            _change.Release();
        }
    }

    private async Task<T> WithinAsync<T>(string what, Func<CancellationToken, Task<T>> work, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(_settings.Calls.FinishWithin);
        try
        {
            return await work(limit.Token);
        }
        catch (OperationCanceledException error) when (!cancellationToken.IsCancellationRequested)
        {
            throw new ShardCloudException(ErrorCodes.StepTimedOut, $"Azure was not done {what} within {_settings.Calls.FinishWithin}.", "Nothing: it is tried again by itself, and taken up where it stands.", error);
        }
    }
}

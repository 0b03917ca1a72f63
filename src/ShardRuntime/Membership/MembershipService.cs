using Azure.Core;
using ShardCloud.Replication;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Membership;

/// <summary>The life of a member: row and lease, map, join, predecessors, readiness, tenures and backups while it lives, making room, and leaving last.</summary>
/// <remarks>
/// Start: the listeners are bound; a member whose release is too far from the others' ends here, before it wrote anything (<see cref="LevelCheck"/>); the row is registered (Joining) and its lease runs; the map is followed. A router is ready then. A shard joins the live list together
/// with its templates, waits until earlier starts of itself are off the live list or seen to live, and is ready once what has fallen to it is served.
/// Life: every change of the map is looked at (level-triggered) by <see cref="TenureKeeper"/> and <see cref="BackupKeeper"/>; the leases of the others by <see cref="TakeOverWatch"/>.
/// Cut off from the tables: no lease, so exclusive endpoints wait; convergent ones go on, by the map as it was.
/// Fenced: an incarnation whose row is fenced, or that is off the live list it once was on, stops serving at once and ends with SC2002. What it wrote to convergent
/// endpoints it publishes first, and retires their epochs, within the time that leaving has.
/// Append failed under <c>ack: replica</c>, or appends not acknowledged for a lease length while the backup's are (<see cref="AppendWatch"/>): it ends its tenures, fences its own row, and its backups take over.
/// Making room (<see cref="HandOverRun"/>): once a later start of its shard is ready, or the process is told to stop, everything is handed over while the listeners still serve; then it leaves.
/// Leaving: after the listeners have drained, what waits for the log is appended, and Leaving is written last.
/// </remarks>
internal sealed partial class MembershipService(
    ShardContext shard, StorageClients storage, MapStore maps, MapFollowerService follower, MemberDirectory directory, LevelCheck levels, MemberParts parts, ShardTemplates templates,
    TenureClaims claims, MemberClient members, BackupLegs backupLegs, Suspects suspects, TakeOverReports reports, ShardMetrics counts, IParkingLot parking, Func<TokenCredential> azure, TimeProvider time, IHostApplicationLifetime lifetime, LogMetrics metrics, ILoggerFactory loggers) : BackgroundService, IHostedLifecycleService
{
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(500), AskForMapEvery = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan FlushBudget = TimeSpan.FromSeconds(10), BreakOffBudget = TimeSpan.FromSeconds(2);

    private readonly ILogger _logger = loggers.CreateLogger<MembershipService>();
    private readonly WakeUp _look = new();
    private readonly Episode _failing = new(time);
    private readonly CancellationTokenSource _roomLimit = new();
    private readonly TaskCompletionSource _madeRoom = new(TaskCreationOptions.RunContinuationsAsynchronously); // Or it never will: it is over, or did not get so far.
    private volatile bool _ready, _wasLive, _over;

    private AckMode Ack => Enum.Parse<AckMode>(shard.Options.Ack, ignoreCase: true);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            await shard.WhenListening.WaitAsync(stoppingToken);
            await levels.CheckAsync(shard.Self, CloudRelease.Own, stoppingToken);
            var lease = await TakeLeaseAsync(stoppingToken);
            var map = await LoadMapAsync(stoppingToken);
            var replication = await StartReplicationAsync(map, lease, stoppingToken);
            await follower.StartAsync(stoppingToken);
            if (shard.Role == MemberRole.Shard) await LiveAsync(replication, stoppingToken);
            else await DeclareReadyAsync(stoppingToken);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // Leaving.
        }
        catch (Exception error)
        {
            LogEnded(error, shard.Self);
            End(1);
        }
        finally
        {
            _madeRoom.TrySetResult();
        }
    }

    /// <summary>Before anything else of this process stops: its listeners serve, and it keeps its lease, until everything was handed over or three quarters of the time to stop are gone.</summary>
    public async Task StoppingAsync(CancellationToken cancellationToken)
    {
        if (shard.Role != MemberRole.Shard || !_ready || _over) return;
        _roomLimit.CancelAfter(shard.Options.Stop.HandOverWithin);
        await using var stopped = cancellationToken.UnsafeRegister(static limit => ((CancellationTokenSource)limit!).Cancel(), _roomLimit);
        await _madeRoom.Task.WaitAsync(shard.Options.Stop.HandOverWithin + BreakOffBudget, time, CancellationToken.None).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken);
        var settled = await FlushAsync(cancellationToken);
        if (settled && !_over && _ready && shard.Role == MemberRole.Shard) await LeaveMapAsync(cancellationToken);
        await follower.StopAsync(cancellationToken);
        if (parts.Replication is { } replication) await replication.DisposeAsync();
        if (parts.Lease is not { } lease) return;
        if (settled && !_over) await lease.LeaveAsync(cancellationToken);
        else await lease.StopAsync(cancellationToken); // Without Leaving: the lease runs out, and whoever takes over reads the log to its own Grant.
    }

    private async Task<LeaseService> TakeLeaseAsync(CancellationToken cancellationToken)
    {
        var options = shard.Options;
        var row = new MemberRow
        {
            Incarnation = shard.Self,
            Role = shard.Role,
            MemberAddress = shard.MemberAddress,
            PublicAddress = shard.PublicAddress,
            FaultDomain = options.FaultDomain,
            HostHandle = options.HostHandle,
            ApplicationVersion = options.ApplicationVersion,
            LeaseLength = options.Lease.Length,
            Pid = Environment.ProcessId,
        };
        var lease = new LeaseService(directory, row, Refresh, time, loggers.CreateLogger<LeaseService>());
        lease.Lost += error =>
        {
            LogOver(shard.Self, error.Code);
            parts.Replication?.EndAllTenures(error.Message);
            End(3);
        };
        await lease.StartAsync(cancellationToken);
        parts.Set(lease);
        return lease;
    }

    /// <summary>The row at its next renewal: which map version every request here already sees, and whether the member is ready.</summary>
    private MemberRow Refresh(MemberRow row) => row with
    {
        AppliedMapVersion = follower.IsLoaded ? follower.Current.Version : MapVersion.None,
        State = row.IsFinal ? row.State : _ready ? MemberState.Ready : MemberState.Joining,
    };

    private async Task<RoutingMap> LoadMapAsync(CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(AskForMapEvery, time);
        while (true)
        {
            try
            {
                return await follower.LoadAsync(cancellationToken);
            }
            catch (ShardCloudException error) when (error.Code is ErrorCodes.NotBootstrapped or ErrorCodes.StoreUnavailable)
            {
                await timer.WaitForNextTickAsync(cancellationToken); // A router may be there before the first bootstrap.
            }
        }
    }

    private async Task<ReplicationService> StartReplicationAsync(RoutingMap map, LeaseService lease, CancellationToken cancellationToken)
    {
        var options = shard.Options;
        var replication = new ReplicationService(new ReplicationOptions
        {
            Application = options.Application,
            BootstrapServers = options.Log.BootstrapServers,
            Hub = options.Log.Hub,
            ControlHub = options.Log.ControlHub,
            PartitionCount = map.PartitionCount,
            LogIdentity = map.LogIdentity,
            Security = Enum.Parse<LogSecurity>(options.Log.Security, ignoreCase: true),
            ConnectionString = options.Log.ConnectionString,
            Credential = options.Log.Security == "entra" ? azure() : null,
            Ack = Ack,
            Reads = Enum.Parse<ReadMode>(options.Reads, ignoreCase: true),
        }, shard.Self, () => lease.IsValid, shard.Role == MemberRole.Shard ? storage.Blobs.GetBlobContainerClient("snapshots") : null, time, loggers.CreateLogger<ReplicationService>(), backupLegs.SendAsync, () => follower.Current.Templates, metrics, () => follower.Current.Level);
        await replication.StartAsync(cancellationToken);
        replication.Control.Heard += follower.Poke;
        SetBudget(map);
        follower.Changed += changed =>
        {
            SetBudget(changed);
            lease.RenewSoon(); // The applied version in its row is the acknowledgement that a retiring source waits for.
            parking.WakeAll();
            Look();
        };
        follower.Stopped += error =>
        {
            LogOver(shard.Self, error.Code);
            replication.EndAllTenures(error.Message);
            End(3);
        };
        parts.Set(replication);
        return replication;

        // The log's throughput is shared by the shards there are: whoever joins or is fenced changes everybody's part.
        void SetBudget(RoutingMap now)
        {
            var (records, bytes) = options.Log.BudgetOf(now.Live.Count);
            replication.SetBudget(records, bytes);
        }
    }

    private async Task LiveAsync(ReplicationService replication, CancellationToken cancellationToken)
    {
        var peers = new PeerSnapshots(shard, follower, members);
        var tenures = new TenureKeeper(shard, maps, follower, replication, peers, claims, parking, time, loggers.CreateLogger<TenureKeeper>());
        var backups = new BackupKeeper(shard, maps, follower, replication, peers, time, loggers.CreateLogger<BackupKeeper>());
        replication.TenureEnded += ended =>
        {
            if (Ack == AckMode.Replica && ended.Reason is TenureEndReason.AppendFailed or TenureEndReason.Incomplete or TenureEndReason.Repaired)
            {
                // What the log lacks of what was answered is at the backups: only their take-over brings it in, and a new grant to this member would close it out.
                LogTenureEnded(ended.Partition, ended.Facts);
                _ = GiveUpAsync(replication, "answers rest on the backups now");
                return;
            }
            if (ended.Reason is not TenureEndReason.AppendFailed) return; // A newer grant, or we ourselves; an incomplete replica is repaired first.
            LogTenureEnded(ended.Partition, ended.Facts);
            AskForGrant(tenures, ended.Partition);
        };
        replication.ReplicaRepaired += partition => AskForGrant(tenures, partition);

        await JoinAsync(replication, cancellationToken);
        var takeOvers = new TakeOverWatch(shard, directory, maps, follower, replication.Control, suspects, reports, () => parts.Lease!.IsValid,
            () => lifetime.ApplicationStopping.IsCancellationRequested || !replication.IsKeeping ? replication.CopiedOwners : null, counts, time, loggers.CreateLogger<TakeOverWatch>());
        await takeOvers.AwaitPredecessorsAsync(cancellationToken);
        await tenures.ReconcileAsync(cancellationToken);
        await CommitAsync(replication, map => map.Live.GetValueOrDefault(shard.Self) is { Ready: false } ? new MapCommit("ready", $"{shard.Self.Shard} is warm", [new MarkReady(shard.Self)]) : null, cancellationToken);
        await DeclareReadyAsync(cancellationToken);

        var making = MakeRoomAsync(replication, cancellationToken);

        // Beside the looks at the map, which may wait for a tenure to begin. A member that is stopping takes over only what it alone keeps: its peers may be stopping with it.
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var stopping = CancellationTokenSource.CreateLinkedTokenSource(ended.Token, lifetime.ApplicationStopping);
        var appends = new AppendWatch(shard, follower, replication, members, () => GiveUpAsync(replication, "appends are acknowledged to the backup and not to this member"), time, loggers.CreateLogger<AppendWatch>());
        var watching = Task.WhenAll(takeOvers.RunAsync(ended.Token), appends.RunAsync(stopping.Token), new ReplicaRepair(replication, peers, time, loggers.CreateLogger<ReplicaRepair>()).RunAsync(stopping.Token),
            new SpentDocuments(shard.Options.Spent, replication.CountSpent, time).RunAsync(() => replication.CompletePartitions, partition => RenewGrant(tenures, partition), stopping.Token));
        try
        {
            await FollowAsync(replication, tenures, backups, cancellationToken);
        }
        finally
        {
            await ended.CancelAsync();
            await making.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await watching.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task FollowAsync(ReplicationService replication, TenureKeeper tenures, BackupKeeper backups, CancellationToken cancellationToken)
    {
        while (!_over)
        {
            await _look.WaitAsync(LookEvery, cancellationToken);
            var live = follower.Current.Live.ContainsKey(shard.Self);
            if (_wasLive && !live)
            {
                LogOver(shard.Self, ErrorCodes.Fenced);
                replication.EndAllTenures("this incarnation is off the live list");
                End(3);
                return;
            }
            _wasLive |= live;
            try
            {
                await tenures.ReconcileAsync(cancellationToken);
                await backups.ReconcileAsync(cancellationToken);
                if (_failing.Ends(out var failed, out var lasted)) LogLooksAgain(failed, lasted.TotalSeconds);
            }
            catch (Exception error) when (!cancellationToken.IsCancellationRequested)
            {
                if (_failing.Begins()) LogLookFailed(error); // A store that fails now is asked again at the next look.
            }
        }
    }

    /// <summary>Hands everything over once there is a reason to, and then ends this process.</summary>
    private async Task MakeRoomAsync(ReplicationService replication, CancellationToken cancellationToken)
    {
        using var within = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _roomLimit.Token);
        var run = new HandOverRun(shard, maps, follower, replication, members, () => parts.Lease!.IsValid, time, loggers.CreateLogger<HandOverRun>());
        follower.Changed += _ => run.Look();
        try
        {
            if (await run.RunAsync(lifetime.ApplicationStopping, within.Token)) LogMadeRoom(shard.Self, run.Moved);
            else LogNotMadeRoom(run.Moved);
        }
        catch (OperationCanceledException) when (within.IsCancellationRequested)
        {
            LogNotMadeRoom(run.Moved); // What is left falls to the backups when this member has left.
        }
        catch (Exception error)
        {
            LogMakingRoomFailed(error);
        }
        _madeRoom.TrySetResult();
        lifetime.StopApplication();
    }

    private Task JoinAsync(ReplicationService replication, CancellationToken cancellationToken)
    {
        var member = new LiveMember(shard.Self, shard.MemberAddress, shard.PublicAddress, shard.Options.ApplicationVersion, shard.Options.FaultDomain, Cordoned: false, Ready: false) { Release = CloudRelease.Own };
        return CommitAsync(replication, map => map.Live.ContainsKey(shard.Self) ? null
            : new MapCommit("join", $"{shard.Self.Shard} starts", [new Join(member), new PublishTemplates(member.ApplicationVersion, templates.All)]), cancellationToken);
    }

    private Task DeclareReadyAsync(CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        _ready = true;
        shard.IsJoined = true;
        parts.Lease!.RenewSoon();
        LogReady(shard.Self, shard.PublicAddress, shard.MemberAddress);
        return Task.CompletedTask;
    }

    private async Task CommitAsync(ReplicationService replication, Func<RoutingMap, MapCommit?> build, CancellationToken cancellationToken)
    {
        var result = await maps.CommitAsync(build, cancellationToken);
        if (result.Refusal is { } refusal) throw refusal;
        await follower.WaitForAsync(result.Version, cancellationToken);
        if (result.IsCommitted) await replication.Control.PublishMapVersionAsync(result.Version, cancellationToken);
    }

    /// <summary>After this everything that was committed here is in the log: a probe behind it in each partition was acknowledged, and the epochs of convergent endpoints are retired.</summary>
    private async Task<bool> FlushAsync(CancellationToken cancellationToken)
    {
        if (parts.Replication is not { } replication || shard.Role == MemberRole.Router) return true;
        using var budget = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        budget.CancelAfter(FlushBudget);
        try
        {
            var held = Enumerable.Range(0, follower.Current.PartitionCount).Where(replication.HasReplica);
            await Task.WhenAll(held.Select(partition => replication.AppendProbeAsync(partition, budget.Token)));
            replication.EndAllTenures("this incarnation leaves");
            await replication.WhenRetiredAsync(budget.Token);
            return true;
        }
        catch (Exception error) when (error is OperationCanceledException or ShardCloudException)
        {
            LogNotFlushed(error);
            return false;
        }
    }

    /// <summary>An incarnation that owns nothing takes itself off the live list: nobody has to find out that it is over.</summary>
    private async Task LeaveMapAsync(CancellationToken cancellationToken)
    {
        try
        {
            var result = await maps.CommitAsync(map => HandOver.LeaveOn(map, shard.Self), cancellationToken);
            if (result.IsCommitted) await parts.Replication!.Control.PublishMapVersionAsync(result.Version, cancellationToken);
        }
        catch (Exception error) when (error is OperationCanceledException or ShardCloudException)
        {
            LogNotOffTheList(error); // Its row is final soon, and any shard takes it off.
        }
    }

    private void AskForGrant(TenureKeeper tenures, int partition)
    {
        tenures.Ended(partition);
        Look();
    }

    private void RenewGrant(TenureKeeper tenures, int partition)
    {
        tenures.Renew(partition);
        Look();
    }

    /// <summary>Serves nothing from here on, lets the backups know, and ends.</summary>
    private async Task GiveUpAsync(ReplicationService replication, string facts)
    {
        if (_over) return;
        replication.EndAllTenures(facts);
        End(4);
        try
        {
            await parts.Lease!.GiveUpAsync();
        }
        catch (ShardCloudException error)
        {
            LogNotFenced(error); // Then its lease runs out.
        }
    }

    /// <inheritdoc/>
    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public override void Dispose()
    {
        _roomLimit.Dispose();
        base.Dispose();
    }

    private void Look() => _look.Set();

    private void End(int exitCode)
    {
        if (_over) return;
        _over = true;
        shard.IsJoined = false;
        Environment.ExitCode = exitCode;
        lifetime.StopApplication();
    }

    [LoggerMessage(1001, LogLevel.Information, "{Incarnation} is ready: clients at {PublicAddress}, members at {MemberAddress}")]
    private partial void LogReady(IncarnationId incarnation, string publicAddress, string memberAddress);

    [LoggerMessage(1002, LogLevel.Critical, "{Incarnation} ends")]
    private partial void LogEnded(Exception error, IncarnationId incarnation);

    [LoggerMessage(1003, LogLevel.Critical, "{Incarnation} is over ({Code}): it serves nothing any more and ends")]
    private partial void LogOver(IncarnationId incarnation, string code);

    [LoggerMessage(1005, LogLevel.Warning, "The tenure of Event Hub partition {Partition} ended: {Facts}")]
    private partial void LogTenureEnded(int partition, string facts);

    [LoggerMessage(1006, LogLevel.Warning, "A look at the map failed; it is repeated (told once until one succeeds)")]
    private partial void LogLookFailed(Exception error);

    [LoggerMessage(1007, LogLevel.Warning, "Not everything could be appended before leaving")]
    private partial void LogNotFlushed(Exception error);

    [LoggerMessage(1009, LogLevel.Warning, "This member gave up and could not say so in its row; its lease runs out")]
    private partial void LogNotFenced(Exception error);

    [LoggerMessage(1008, LogLevel.Information, "Looks at the map succeed again; {Failed} failed in {Seconds:0.0} s")]
    private partial void LogLooksAgain(long failed, double seconds);

    [LoggerMessage(1010, LogLevel.Information, "{Incarnation} has handed everything over ({Entries} entries) and leaves")]
    private partial void LogMadeRoom(IncarnationId incarnation, int entries);

    [LoggerMessage(1011, LogLevel.Warning, "Nobody took what this member still owns, or the time for it was over: {Entries} entries were handed over, the rest falls to its backups")]
    private partial void LogNotMadeRoom(int entries);

    [LoggerMessage(1012, LogLevel.Error, "Handing over ended with an error; what this member owns falls to its backups")]
    private partial void LogMakingRoomFailed(Exception error);

    [LoggerMessage(1013, LogLevel.Warning, "This member could not take itself off the live list; another one does")]
    private partial void LogNotOffTheList(Exception error);
}

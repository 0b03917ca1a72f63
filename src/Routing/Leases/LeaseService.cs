using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace ShardCloud.Routing;

/// <summary>Registers a member and keeps its lease; the shell around <see cref="LeaseKeeper"/>.</summary>
/// <param name="directory">The rows.</param>
/// <param name="self">First row; addresses must be known.</param>
/// <param name="refresh">Called before every renewal: the row with the newest load, state and applied map version. Fast, any thread.</param>
/// <param name="time">The system's by default.</param>
/// <param name="logger">Takes renewals that were not confirmed.</param>
public sealed partial class LeaseService(MemberDirectory directory, MemberRow self, Func<MemberRow, MemberRow> refresh, TimeProvider? time = null, ILogger<LeaseService>? logger = null) : BackgroundService
{
    private readonly TimeProvider _time = time ?? TimeProvider.System;
    private readonly LeaseClocks _clocks = new(time ?? TimeProvider.System);
    private readonly ILogger _logger = logger ?? NullLogger<LeaseService>.Instance;
    private readonly WakeUp _soon = new();
    private readonly Episode _unconfirmed = new(time ?? TimeProvider.System);
    private LeaseKeeper? _keeper;
    private MemberRow? _row; // Null until registered.
    private volatile LeaseGrant? _grant;
    private volatile ShardCloudException? _lost;
    private volatile bool _leaving;

    /// <summary>Whose lease.</summary>
    public IncarnationId Incarnation => self.Incarnation;

    /// <summary>The row as written last.</summary>
    public MemberRow Row => Volatile.Read(ref _row) ?? self;

    /// <summary>True while this member may serve what it owns. Reads the clocks each time (some 100 ns); any thread, 0 B.</summary>
    public bool IsValid => Remaining > TimeSpan.Zero;

    /// <summary>Time left; zero when it is over, lost, left, or when the clocks disagree.</summary>
    public TimeSpan Remaining => _lost is null && !_leaving && _grant is { } grant ? grant.Remaining(_clocks.Read()) : TimeSpan.Zero;

    /// <summary>Why the incarnation is over; null while it is not.</summary>
    public ShardCloudException? LostBecause => _lost;

    /// <summary>Why this member may not serve now; null when it may.</summary>
    public ShardCloudException? WhyInvalid()
    {
        if (_lost is { } lost) return lost;
        var (grant, now) = (_grant, _clocks.Read());
        if (grant is not null && !_leaving && grant.Remaining(now) > TimeSpan.Zero) return null;
        return grant is not null && grant.ClocksDisagree(now)
            ? new ShardCloudException(ErrorCodes.ClocksDisagree, $"The clocks of {Incarnation} differ by more than {grant.DisagreementMax.TotalMilliseconds} ms since its last renewal: the machine was paused, or its clock was set.", "It serves again after its next renewal.")
            : new ShardCloudException(ErrorCodes.LeaseLost, $"{Incarnation} has no valid lease.", "It serves again after its next renewal, unless it is leaving; check the storage account if this lasts.");
    }

    /// <summary>This incarnation is over for good (fenced, or its row is gone): stop the process. Raised once.</summary>
    public event Action<ShardCloudException>? Lost;

    /// <summary>Renews within 50 ms: after a new map version was applied, so that nobody waits for the acknowledgement.</summary>
    public void RenewSoon() => _soon.Set();

    /// <summary>Writes the first row; the lease is valid from then. Called by <see cref="StartAsync"/> if it was not before.</summary>
    /// <exception cref="ShardCloudException">SC6004, SC2001.</exception>
    public async Task RegisterAsync(CancellationToken cancellationToken = default)
    {
        if (_keeper is not null) return;
        var firstTry = _clocks.Read();
        var row = await directory.RegisterAsync(refresh(self) with { RenewalCount = 1 }, cancellationToken);
        Volatile.Write(ref _row, row);
        _keeper = new LeaseKeeper(row, firstTry);
        _grant = _keeper.Grant;
    }

    /// <inheritdoc/>
    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        await RegisterAsync(cancellationToken);
        await base.StartAsync(cancellationToken);
    }

    /// <summary>Stops renewing and writes Leaving: the last word of a member that has sealed and settled everything.</summary>
    /// <returns>True when the row is final.</returns>
    public async Task<bool> LeaveAsync(CancellationToken cancellationToken = default)
    {
        _leaving = true;
        await StopAsync(cancellationToken);
        return _keeper is null || await directory.LeaveAsync(Row, cancellationToken);
    }

    /// <summary>Stops renewing and fences its own row: a member that serves nothing any more, and cannot settle what it holds, need not be waited for.</summary>
    /// <returns>True when the row is final; otherwise the lease runs out.</returns>
    /// <exception cref="ShardCloudException">SC6004: the store does not answer; the lease runs out.</exception>
    public async Task<bool> GiveUpAsync(CancellationToken cancellationToken = default)
    {
        _leaving = true;
        await StopAsync(cancellationToken);
        return _keeper is null || await directory.TryFenceAsync(Row, cancellationToken);
    }

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var events = new Queue<LeaseEvent>([new LeaseEvent.Tick()]);
        while (!stoppingToken.IsCancellationRequested && _lost is null)
        {
            if (!events.TryDequeue(out var happened)) happened = new LeaseEvent.Tick();
            var wake = TimeSpan.Zero;
            foreach (var command in _keeper!.Step(happened, _clocks.Read()))
            {
                if (command is LeaseCommand.WakeAfter later) wake = later.Delay;
                else if (await RunAsync(command, stoppingToken) is { } next) events.Enqueue(next);
            }
            _grant = _keeper.Grant;
            if (events.Count == 0 && wake > TimeSpan.Zero && await WokenAsync(wake, stoppingToken)) events.Enqueue(new LeaseEvent.RenewSoon());
        }
    }

    private async Task<LeaseEvent?> RunAsync(LeaseCommand command, CancellationToken stoppingToken)
    {
        // A quarter of the lease a try: a store that hangs must leave time for another try.
        using var due = new CancellationTokenSource(self.LeaseLength / 4, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(due.Token, stoppingToken);
        switch (command)
        {
            case LeaseCommand.Renew renew:
                var result = await directory.RenewAsync(refresh(Row) with { RenewalCount = renew.Count, ETag = renew.ETag }, either.Token);
                if (result.Outcome == RenewOutcome.NotConfirmed)
                {
                    if (_unconfirmed.Begins()) LogNotConfirmed(_logger, renew.Count);
                    return new LeaseEvent.NotConfirmed(renew.Count);
                }
                if (_unconfirmed.Ends(out var tries, out var lasted)) LogConfirmed(_logger, tries, lasted.TotalSeconds);
                Volatile.Write(ref _row, result.Row);
                return new LeaseEvent.Renewed(renew.Count, result.Row.ETag);

            case LeaseCommand.ReadRow:
                try
                {
                    var row = await directory.ReadAsync(self.Incarnation, either.Token);
                    if (row is not null) Volatile.Write(ref _row, row);
                    return new LeaseEvent.RowRead(row);
                }
                catch (Exception error) when (error is ShardCloudException or OperationCanceledException && !stoppingToken.IsCancellationRequested)
                {
                    return new LeaseEvent.ReadFailed();
                }

            case LeaseCommand.ReportLost lost:
                _lost = lost.Error;
                LogLost(_logger, self.Incarnation, lost.Error.Code, lost.Error.Message);
                Lost?.Invoke(lost.Error);
                return null;

            default:
                throw new InvalidOperationException($"Unknown command {command}.");
        }
    }

    private async Task<bool> WokenAsync(TimeSpan after, CancellationToken stoppingToken)
    {
        using var due = new CancellationTokenSource(after, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(due.Token, stoppingToken);
        try
        {
            await _soon.WaitAsync(either.Token);
            return true;
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    [LoggerMessage(1021, LogLevel.Warning, "Renewal {Count} was not confirmed; the row decides (told once until one is)")]
    private static partial void LogNotConfirmed(ILogger logger, long count);

    [LoggerMessage(1022, LogLevel.Critical, "{Incarnation} is over ({Code}): {Reason}")]
    private static partial void LogLost(ILogger logger, IncarnationId incarnation, string code, string reason);

    [LoggerMessage(1023, LogLevel.Information, "Renewals are confirmed again; {Tries} were not in {Seconds:0.0} s")]
    private static partial void LogConfirmed(ILogger logger, long tries, double seconds);
}

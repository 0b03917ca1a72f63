using System.Threading.Channels;
using Azure;

namespace ShardCloud.Routing;

/// <summary>Does the I/O of a <see cref="LeaseKeeper"/>: registers the member's row, renews it, and says whether the lease is valid.</summary>
/// <remarks>Thread-safe. One loop drives the core; a store call that hangs is given up after a fifth of the lease and decided by a re-read.</remarks>
public sealed class LeaseService : IAsyncDisposable
{
    private readonly MemberDirectory _directory;
    private readonly LeaseClockSource _clocks;
    private readonly Func<MemberRow, MemberRow> _refresh;
    private readonly Lock _gate = new();
    private readonly Channel<LeaseEvent> _events = Channel.CreateBounded<LeaseEvent>(new BoundedChannelOptions(64) { FullMode = BoundedChannelFullMode.DropWrite }); // Ticks come again.
    private readonly CancellationTokenSource _stop = new();
    private readonly TimeProvider _time;
    private LeaseKeeper? _keeper;
    private MemberRow _row;
    private Task _loop = Task.CompletedTask;

    /// <param name="directory">Member rows; its client must have retries off.</param>
    /// <param name="row">The first row; state Joining.</param>
    /// <param name="refresh">Called before each renewal: gives the row its present applied map version, state and load.</param>
    /// <param name="time">The clock; tests pass their own.</param>
    public LeaseService(MemberDirectory directory, MemberRow row, Func<MemberRow, MemberRow> refresh, TimeProvider? time = null)
    {
        _time = time ?? TimeProvider.System;
        (_directory, _row, _refresh, _clocks) = (directory, row, refresh, new LeaseClockSource(_time));
    }

    /// <summary>Raised once each time serving must stop, with the code why. Handlers must be quick and must not throw.</summary>
    public event Action<string>? Lost;

    /// <summary>Raised when the lease is valid again after <see cref="Lost"/> without a fence.</summary>
    public event Action? Regained;

    /// <summary>Raised once when this incarnation was fenced: it must end.</summary>
    public event Action<string>? Fenced;

    /// <summary>True while this incarnation may serve what it owns. Costs three clock reads.</summary>
    public bool IsValid => Remaining > TimeSpan.Zero;

    /// <summary>How long it still lasts on the strictest clock; zero when it does not.</summary>
    public TimeSpan Remaining
    {
        get
        {
            lock (_gate) return _keeper?.Remaining(_clocks.Read()) ?? TimeSpan.Zero;
        }
    }

    /// <summary>The row as last written.</summary>
    public MemberRow Row
    {
        get { lock (_gate) return _row; }
    }

    /// <summary>Registers the row and begins to renew it.</summary>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        await _directory.EnsureCreatedAsync(cancellationToken);
        var sent = _clocks.Read(); // Dated before the write is sent: whoever sees the row sees it later.
        var row = await _directory.RegisterAsync(_refresh(_row), cancellationToken);
        lock (_gate) (_row, _keeper) = (row, new LeaseKeeper(row.LeaseLength, sent, row.RenewalCount));
        _loop = Task.Run(() => RunAsync(_stop.Token), CancellationToken.None);
    }

    /// <summary>A new map version was applied, or the state changed: renew soon, at most every 50 ms.</summary>
    public void RenewSoon() => _events.Writer.TryWrite(new LeaseEvent.RenewSoon());

    /// <summary>Writes Leaving as the last thing, after everything was sealed and settled; final. Stops renewing first.</summary>
    public async Task LeaveAsync(CancellationToken cancellationToken)
    {
        await StopLoopAsync();
        for (var attempt = 0; attempt < 5; attempt++)
        {
            var row = await _directory.ReadAsync(_row.Incarnation, cancellationToken);
            if (row is null or { State: MemberState.Fenced or MemberState.Leaving }) return;
            if (await _directory.TryReplaceAsync(row with { State = MemberState.Leaving }, cancellationToken) is not null) return;
        }
    }

    /// <summary>Stops renewing. The row stays and runs out.</summary>
    public async ValueTask DisposeAsync()
    {
        await StopLoopAsync();
        _stop.Dispose();
    }

    private async Task StopLoopAsync()
    {
        await _stop.CancelAsync();
        await _loop.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private async Task RunAsync(CancellationToken cancellationToken)
    {
        // Fine enough that a RenewSoon leaves after its 50 ms and a lost lease is noticed within 1 % of its length.
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(Math.Clamp(_row.LeaseLength.TotalMilliseconds / 100, 10, 100)), _time);
        var ticking = TickAsync(timer, cancellationToken);
        try
        {
            await foreach (var what in _events.Reader.ReadAllAsync(cancellationToken))
            {
                for (LeaseEvent? next = what; next is not null;) next = await DriveAsync(next, cancellationToken);
            }
        }
        catch (OperationCanceledException)
        {
            // Stopped.
        }
        await ticking.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private async Task TickAsync(PeriodicTimer timer, CancellationToken cancellationToken)
    {
        while (await timer.WaitForNextTickAsync(cancellationToken)) _events.Writer.TryWrite(new LeaseEvent.Tick());
    }

    /// <summary>One step of the core and the I/O it asks for; the outcome of that I/O is the next event.</summary>
    private async Task<LeaseEvent?> DriveAsync(LeaseEvent what, CancellationToken cancellationToken)
    {
        IReadOnlyList<LeaseCommand> commands;
        lock (_gate) commands = _keeper!.Step(what, _clocks.Read());
        LeaseEvent? outcome = null;
        foreach (var command in commands)
        {
            switch (command)
            {
                case LeaseCommand.Renew renew:
                    outcome = await RenewAsync(renew.RenewalCount, cancellationToken);
                    break;
                case LeaseCommand.ReadRow:
                    outcome = await ReadAsync(cancellationToken);
                    break;
                case LeaseCommand.StopServing stop:
                    Lost?.Invoke(stop.Code);
                    break;
                case LeaseCommand.ResumeServing:
                    Regained?.Invoke();
                    break;
                case LeaseCommand.Exit exit:
                    Fenced?.Invoke(exit.Code);
                    break;
            }
        }
        return outcome;
    }

    private async Task<LeaseEvent> RenewAsync(long count, CancellationToken cancellationToken)
    {
        var row = _refresh(_row) with { RenewalCount = count };
        try
        {
            using var limit = Limit(cancellationToken);
            if (await _directory.TryReplaceAsync(row, limit.Token) is not { } written) return new LeaseEvent.RenewalUncertain();
            lock (_gate) _row = written;
            return new LeaseEvent.Renewed();
        }
        catch (Exception error) when (IsNoAnswer(error, cancellationToken))
        {
            return new LeaseEvent.RenewalUncertain();
        }
    }

    private async Task<LeaseEvent> ReadAsync(CancellationToken cancellationToken)
    {
        try
        {
            using var limit = Limit(cancellationToken);
            if (await _directory.ReadAsync(_row.Incarnation, limit.Token) is not { } row) return new LeaseEvent.RowRead(-1, Fenced: true); // Deleted: only the dead are.
            lock (_gate) _row = row;
            return new LeaseEvent.RowRead(row.RenewalCount, row.State == MemberState.Fenced);
        }
        catch (Exception error) when (IsNoAnswer(error, cancellationToken))
        {
            return new LeaseEvent.ReadFailed();
        }
    }

    private CancellationTokenSource Limit(CancellationToken cancellationToken)
    {
        var source = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        source.CancelAfter(_row.LeaseLength / 5);
        return source;
    }

    private static bool IsNoAnswer(Exception error, CancellationToken cancellationToken) =>
        !cancellationToken.IsCancellationRequested && error is RequestFailedException or OperationCanceledException or AggregateException or HttpRequestException or IOException;
}

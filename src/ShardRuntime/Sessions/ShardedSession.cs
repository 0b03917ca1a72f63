using System.Diagnostics.CodeAnalysis;
using ShardCloud.ShardRuntime.Expiring;

namespace ShardCloud.ShardRuntime.Sessions;

/// <summary>One request's view of a session: what it read, and on top what it changed. Only changed names travel, so requests of one session merge by name.</summary>
/// <remarks>
/// Reads load the session on first need; <c>LoadAsync</c> before that avoids a blocked thread. A write alone needs no load. Not thread-safe, like every
/// <see cref="ISession"/>. A failure is kept and ends the request with its code, see <see cref="SessionGate"/>: no empty session is ever shown for one that could not be read.
/// </remarks>
internal sealed class ShardedSession(EndpointId endpoint, TimeSpan idleTimeout, TimeSpan ioTimeout, Func<bool> tryEstablish, bool isNew, ExpiringClient client, SessionWork? work) : ISession
{
    private static readonly TimeSpan UseTimeout = TimeSpan.FromSeconds(1);

    private readonly Dictionary<string, byte[]?> _changes = new(StringComparer.Ordinal);
    private IReadOnlyDictionary<string, byte[]>? _seen = isNew ? ExpiringContent.None.Values : null; // Nobody else knows the key of a new session.
    private bool _clearsFirst;

    /// <summary>The endpoint's name, without what is common to all sessions: unique, stable, not the secret of the cookie.</summary>
    public string Id { get; } = endpoint.Value[(endpoint.Value.LastIndexOf('/') + 1)..];

    /// <summary>The endpoint whose handler uses it; <c>default</c>: the request names none.</summary>
    public EndpointId From { get; init; }

    /// <summary>Of a probe or shadow read: it is empty at first, and nobody else ever sees it.</summary>
    public bool IsApart { get; init; }

    /// <summary>The answer may depend on what others put into it, or it was changed.</summary>
    public bool IsUsed { get; private set; }

    public bool IsAvailable
    {
        get
        {
            try
            {
                Load();
                return true;
            }
            catch (ShardCloudException)
            {
                return false; // The request ends with it, whatever the caller does now.
            }
        }
    }

    public IEnumerable<string> Keys
    {
        get
        {
            var seen = Load();
            var kept = _clearsFirst ? [] : seen.Keys.Where(name => !_changes.ContainsKey(name));
            return [.. kept, .. _changes.Where(change => change.Value is not null).Select(change => change.Key)];
        }
    }

    public async Task LoadAsync(CancellationToken cancellationToken = default)
    {
        if (_seen is not null) return;
        IsUsed = true;
        _seen = (IsApart ? ExpiringContent.None : await TryAsync("read", token => client.ReadAsync(endpoint, token, From), cancellationToken, work?.Aborted ?? default)).Values;
    }

    public bool TryGetValue(string key, [NotNullWhen(true)] out byte[]? value)
    {
        if (!_changes.TryGetValue(key, out value) && !_clearsFirst) Load().TryGetValue(key, out value);
        return value is not null;
    }

    public void Set(string key, byte[] value)
    {
        ExpiringDocument.CheckName(key);
        ArgumentNullException.ThrowIfNull(value);
        IsUsed = true;
        if (!tryEstablish()) throw new InvalidOperationException("The session cannot be established after the response has started.");
        _changes.Remove(key);
        if (!_clearsFirst && _seen is not null && _seen.TryGetValue(key, out var seen) && seen.AsSpan().SequenceEqual(value)) return; // No change.
        _changes[key] = value.ToArray();
    }

    public void Remove(string key)
    {
        ExpiringDocument.CheckName(key);
        IsUsed = true;
        if (_clearsFirst || (_seen is not null && !_seen.ContainsKey(key))) _changes.Remove(key);
        else _changes[key] = null;
    }

    public void Clear()
    {
        IsUsed = true;
        _changes.Clear();
        _clearsFirst = !isNew || _seen is { Count: > 0 };
    }

    public async Task CommitAsync(CancellationToken cancellationToken = default)
    {
        await SettleAsync(cancellationToken);
        if (_seen is null && !IsApart) await UseAsync(cancellationToken);
    }

    /// <summary>Writes what was changed; when it returns, the changes count. A client that has left does not stop it: the handler's other changes stand too.</summary>
    public async Task SettleAsync(CancellationToken cancellationToken)
    {
        if (_changes.Count == 0 && !_clearsFirst) return;
        var changes = new ExpiringChanges(_clearsFirst, [.. _changes], new Lifetime(idleTimeout, null));
        if (!IsApart)
        {
            await TryAsync("written", async token =>
            {
                await client.WriteAsync(endpoint, changes, token, From);
                return true;
            }, cancellationToken, clientLeft: default);
        }
        if (_seen is not null || _clearsFirst) _seen = Changed(_clearsFirst ? ExpiringContent.None.Values : _seen!);
        _changes.Clear();
        _clearsFirst = false;
    }

    /// <summary>A request that did not look at its session keeps it alive all the same, but neither waits long for that nor fails.</summary>
    private async Task UseAsync(CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(UseTimeout);
        try
        {
            await client.WriteAsync(endpoint, ExpiringChanges.Use, limit.Token, From);
        }
        catch (Exception error) when (error is ShardCloudException || (error is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            // The deadline is a tenth later than promised for just this.
        }
    }

    private Dictionary<string, byte[]> Changed(IReadOnlyDictionary<string, byte[]> before)
    {
        var after = new Dictionary<string, byte[]>(before, StringComparer.Ordinal);
        foreach (var (key, value) in _changes)
        {
            if (value is null) after.Remove(key);
            else after[key] = value;
        }
        return after;
    }

    // ISession's readers are synchronous; the server has no context that a blocked thread could hold up.
    private IReadOnlyDictionary<string, byte[]> Load()
    {
        if (_seen is null) LoadAsync().GetAwaiter().GetResult();
        return _seen!;
    }

    private async Task<T> TryAsync<T>(string what, Func<CancellationToken, Task<T>> call, CancellationToken cancellationToken, CancellationToken clientLeft)
    {
        work?.ThrowIfFailed();
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, clientLeft);
        limit.CancelAfter(ioTimeout);
        try
        {
            return await call(limit.Token);
        }
        catch (ShardCloudException error)
        {
            work?.Fail(error);
            throw;
        }
        catch (OperationCanceledException error) when (!cancellationToken.IsCancellationRequested && !clientLeft.IsCancellationRequested)
        {
            var late = new ShardCloudException(ErrorCodes.SessionUnavailable, $"'{endpoint}' could not be {what} within {ioTimeout.TotalSeconds:0.#} s.",
                "Retry; 'shardcloud status' shows which shard is missing. SessionOptions.IOTimeout sets the time.", error);
            work?.Fail(late);
            throw late;
        }
    }
}

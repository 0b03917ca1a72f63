using Azure.Core;

namespace ShardCloud.Identity;

/// <summary>Tokens of this process's identity for a registration. Thread-safe; asking costs nothing while the held one is good for five more minutes.</summary>
/// <param name="credential">Who asks.</param>
/// <param name="registration">Application ID URI of the registration.</param>
/// <param name="time">Clock.</param>
/// <remarks>There is one registration, whatever the audience: its app roles keep members and people apart.</remarks>
public sealed class EntraTokenSource(TokenCredential credential, string registration, TimeProvider? time = null) : ITokenSource, IDisposable
{
    private static readonly TimeSpan RenewBefore = TimeSpan.FromMinutes(5);

    /// <summary>After a refusal the held token serves on, and the issuer is asked again after so long.</summary>
    private static readonly TimeSpan AskAgainAfter = TimeSpan.FromSeconds(10);

    private readonly TimeProvider _time = time ?? TimeProvider.System;
    private readonly TokenRequestContext _request = new([$"{registration}/.default"]);
    private readonly SemaphoreSlim _asking = new(1);
    private Held? _held;

    /// <inheritdoc/>
    public ValueTask<string> GetTokenAsync(string audience, CancellationToken cancellationToken = default) =>
        _held is { } held && _time.GetUtcNow() < held.RenewAt ? new(held.Token) : RenewAsync(cancellationToken);

    /// <inheritdoc/>
    public void Dispose() => _asking.Dispose();

    private async ValueTask<string> RenewAsync(CancellationToken cancellationToken)
    {
        await _asking.WaitAsync(cancellationToken);
        try
        {
            var now = _time.GetUtcNow();
            if (_held is { } held && now < held.RenewAt) return held.Token; // Somebody else asked meanwhile.
            try
            {
                var token = await credential.GetTokenAsync(_request, cancellationToken);
                _held = new Held(token.Token, token.ExpiresOn, token.ExpiresOn - RenewBefore);
            }
            catch (Exception) when (!cancellationToken.IsCancellationRequested && _held is { } good && now < good.Expires)
            {
                _held = good with { RenewAt = now + AskAgainAfter < good.Expires ? now + AskAgainAfter : good.Expires };
            }
            return _held!.Token;
        }
        finally
        {
            _asking.Release();
        }
    }

    private sealed record Held(string Token, DateTimeOffset Expires, DateTimeOffset RenewAt);
}

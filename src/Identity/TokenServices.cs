using Azure.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace ShardCloud.Identity;

/// <summary>Registers who issues this process's tokens and who validates those of its callers, by its settings.</summary>
public static class TokenServices
{
    /// <summary>Longest wait for the issuer's keys.</summary>
    private static readonly TimeSpan KeysWithin = TimeSpan.FromSeconds(10);

    /// <summary>Adds <see cref="ITokenSource"/>, <see cref="TokenValidator"/> and the process's <see cref="TokenCredential"/>; a function gives the same one to whoever may never need it.</summary>
    /// <param name="services">Where to.</param>
    /// <param name="auth">The settings, checked.</param>
    /// <param name="audience">What callers' local tokens must be for.</param>
    /// <param name="role">What this process is; with Entra the app role of its identity says so.</param>
    /// <param name="subject">Its name in local tokens.</param>
    public static IServiceCollection AddTokens(
        this IServiceCollection services, Func<IServiceProvider, AuthOptions> auth, string audience, string role, Func<IServiceProvider, string> subject)
    {
        services.TryAddSingleton(_ => AzureCredentials.Create());
        services.TryAddSingleton<Func<TokenCredential>>(provider => provider.GetRequiredService<TokenCredential>);
        services.TryAddSingleton(provider => LocalKey.LoadOrCreate(auth(provider).KeyFile!));
        services.TryAddSingleton<ITokenSource>(provider => auth(provider).Entra is { } entra
            ? new EntraTokenSource(provider.GetRequiredService<TokenCredential>(), entra.AudienceOrDefault, Time(provider))
            : new LocalTokenSource(new TokenIssuer(provider.GetRequiredService<LocalKey>(), Time(provider)), subject(provider), role, Time(provider)));
        services.TryAddSingleton(provider => auth(provider).Entra is { } entra
            ? new TokenValidator(entra, new HttpClient { Timeout = KeysWithin }, Time(provider))
            : new TokenValidator(provider.GetRequiredService<LocalKey>(), audience, Time(provider)));
        return services;
    }

    private static TimeProvider Time(IServiceProvider services) => services.GetRequiredService<TimeProvider>();
}

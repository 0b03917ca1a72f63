using ShardCloud.LocalCloud.Azurite;

namespace ShardCloud.Tests;

/// <summary>One storage emulator for a test assembly, in memory. Tests keep apart by application name, see <see cref="NewApplication"/>.</summary>
public sealed class AzuriteFixture : IAsyncLifetime
{
    private AzuriteProcess? _azurite;

    /// <summary>Connection string of the emulator.</summary>
    public string ConnectionString => _azurite!.ConnectionString;

    /// <summary>An application name that no other test uses.</summary>
    public static string NewApplication() => $"t-{Guid.NewGuid():N}";

    public async ValueTask InitializeAsync() => _azurite = await AzuriteProcess.StartAsync(new AzuriteOptions());

    public async ValueTask DisposeAsync()
    {
        if (_azurite is not null) await _azurite.DisposeAsync();
    }
}

/// <summary>Put <c>[Collection(AzuriteCollection.Name)]</c> on a test class that takes the fixture.</summary>
[CollectionDefinition(Name)]
public sealed class AzuriteCollection : ICollectionFixture<AzuriteFixture>
{
    public const string Name = "Azurite";
}

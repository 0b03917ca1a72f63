using System.Collections.Concurrent;
using System.Xml.Linq;
using Azure.Storage.Blobs;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Security;
using ShardCloud.Tests;

namespace ShardCloud.ShardRuntime.Tests.Security;

[Collection(AzuriteCollection.Name)]
public sealed class KeyRingTests(AzuriteFixture azurite)
{
    [Fact]
    public async Task Shards_StartedAtOnce_ShareOneKeyAndAcceptEachOthersData()
    {
        var application = AzuriteFixture.NewApplication();
        using var together = new Barrier(6);
        var shards = new ConcurrentBag<(ServiceProvider Services, IDataProtector Protector, string Data)>();
        await Task.WhenAll(Enumerable.Range(0, 6).Select(_ => Task.Factory.StartNew(() =>
        {
            var services = ShardOf(application);
            var protector = services.GetDataProtector("test");
            together.SignalAndWait();
            shards.Add((services, protector, protector.Protect("42")));
        }, TestContext.Current.CancellationToken, TaskCreationOptions.LongRunning, TaskScheduler.Default)));

        foreach (var (_, protector, _) in shards)
            foreach (var (_, _, data) in shards) Assert.Equal("42", protector.Unprotect(data));
        Assert.Single(KeysOf(application));
        foreach (var (services, _, _) in shards) services.Dispose();
    }

    /// <summary>The race itself: both have read an empty ring, both store a key.</summary>
    [Fact]
    public void StoreElement_AfterAnothersFirstKey_KeepsTheOthersAlone()
    {
        var application = AzuriteFixture.NewApplication();
        var (first, second) = (RingOf(application), RingOf(application));
        Assert.Empty(first.GetAllElements());
        Assert.Empty(second.GetAllElements());

        first.StoreElement(Key("first"), "key-first");
        second.StoreElement(Key("second"), "key-second");

        Assert.Equal(["first"], second.GetAllElements().Select(key => key.Attribute("id")!.Value));
    }

    /// <summary>A revocation is no choice between keys: it is never dropped.</summary>
    [Fact]
    public void StoreElement_OfARevocationBehindAnothersChange_KeepsBoth()
    {
        var application = AzuriteFixture.NewApplication();
        var (first, second) = (RingOf(application), RingOf(application));
        Assert.Empty(first.GetAllElements());
        Assert.Empty(second.GetAllElements());

        first.StoreElement(Key("first"), "key-first");
        second.StoreElement(new XElement("revocation"), "revocation");

        Assert.Equal(["key", "revocation"], first.GetAllElements().Select(element => element.Name.LocalName));
    }

    [Fact]
    public void KeyMaterial_AtTheFinestLevel_IsNeverLogged()
    {
        var application = AzuriteFixture.NewApplication();
        using var lines = new Lines();
        using (var services = ShardOf(application, lines)) Assert.Equal("42", services.GetDataProtector("test").Unprotect(services.GetDataProtector("test").Protect("42")));

        var secret = KeysOf(application).Single().Descendants().Single(element => element.Name.LocalName == "value").Value;
        Assert.NotEmpty(lines.Written);
        Assert.True(secret.Length > 40);
        Assert.DoesNotContain(lines.Written, line => line.Contains(secret, StringComparison.Ordinal));
    }

    private static XElement Key(string id) => new("key", new XAttribute("id", id));

    private BlobKeyRing RingOf(string application) => new(new BlobServiceClient(azurite.ConnectionString), application);

    private List<XElement> KeysOf(string application) => [.. RingOf(application).GetAllElements()];

    /// <summary>The registration of the shard runtime, without the rest of it.</summary>
    private ServiceProvider ShardOf(string application, ILoggerProvider? lines = null)
    {
        var services = new ServiceCollection();
        services.AddLogging(logging =>
        {
            logging.SetMinimumLevel(LogLevel.Trace);
            if (lines is not null) logging.AddProvider(lines);
        });
        services.AddSingleton(new ShardRuntimeOptions { Application = application });
        services.AddSingleton(StorageClients.Create(new StorageOptions { ConnectionString = azurite.ConnectionString }));
        return services.AddKeyRing().BuildServiceProvider();
    }

    private sealed class Lines : ILoggerProvider, ILogger
    {
        public ConcurrentQueue<string> Written { get; } = new();

        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) => Written.Enqueue(formatter(state, exception) + exception);

        public void Dispose() { }
    }
}

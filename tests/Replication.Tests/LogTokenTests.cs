using System.Collections.Concurrent;
using System.Security.Claims;
using System.Security.Cryptography;
using Azure.Core;
using Confluent.Kafka;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;
using ShardCloud.LocalCloud.EventHubs;

namespace ShardCloud.Replication.Tests;

/// <summary>The log reached with tokens of Entra: the clients of the product against a broker that checks them and ends a session with its token.</summary>
public sealed class LogTokenTests : IDisposable
{
    private const string Issuer = "https://sts.windows.net/7d4b2a52-6f0e-4a38-9a0b-1c2d3e4f5a6b/", Audience = "https://127.0.0.1";

    private const int TokensUsed = 6;

    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    private readonly string _folder = Directory.CreateTempSubdirectory("shardcloud-test-").FullName;
    private readonly RSA _rsa = RSA.Create(2048);

    public void Dispose()
    {
        _rsa.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    /// <summary>Sessions last three seconds here. Records are appended one after the other until each client has used three tokens; every one is acknowledged, and read once, in order. (On a busy machine a session may end before
    /// its token is replaced; then the client connects anew.)</summary>
    [Fact]
    public async Task Tokens_ThatEnd_AreReplacedWithoutLosingARecord()
    {
        var identity = new Tokens(this, TimeSpan.FromSeconds(3));
        await using var hubs = await StartAsync();
        var clients = ClientsOf(hubs, identity);
        using var producer = clients.Producer(_ => { }, _ => { });
        using var consumer = clients.Consumer(AutoOffsetReset.Error, _ => { });
        consumer.Assign(new TopicPartitionOffset("deltas", 0, 0));
        using var late = new CancellationTokenSource(Deadline);
        var read = new List<int>();
        var (appended, all) = (0, -1);
        var reading = Task.Run(() =>
        {
            while (read.Count != Volatile.Read(ref all)) read.Add(BitConverter.ToInt32(consumer.Consume(late.Token).Message.Value));
        }, late.Token);
        Task AppendAsync() => producer.ProduceAsync(new TopicPartition("deltas", 0), new Message<Null, byte[]> { Value = BitConverter.GetBytes(appended++) }, late.Token);

        while (identity.Given < TokensUsed) await AppendAsync();
        Volatile.Write(ref all, appended + 1);
        await AppendAsync();
        await reading.WaitAsync(Deadline);

        Assert.Equal(Enumerable.Range(0, appended), read);
        Assert.Equal([$"{Audience}/.default"], identity.Scopes.Distinct());
    }

    [Theory]
    [InlineData("audience")]
    [InlineData("issuer")]
    [InlineData("expired")]
    [InlineData("key")]
    public async Task Token_ThatIsNotGood_IsRefusedAndSaid(string wrong)
    {
        var identity = new Tokens(this, TimeSpan.FromHours(1), wrong);
        await using var hubs = await StartAsync();
        var told = new TaskCompletionSource<Error>(TaskCreationOptions.RunContinuationsAsynchronously);
        using var producer = ClientsOf(hubs, identity).Producer(error =>
        {
            if (error.Code == ErrorCode.Local_Authentication) told.TrySetResult(error);
        }, _ => { });

        Assert.Contains("invalid_token", (await told.Task.WaitAsync(Deadline)).Reason, StringComparison.Ordinal);
    }

    private Task<LocalEventHubs> StartAsync() => LocalEventHubs.StartAsync(new LocalEventHubsOptions
    {
        DataFolder = Path.Combine(_folder, "hubs"),
        Hubs = new Dictionary<string, int> { ["deltas"] = 1 },
        Tokens = new BearerTokens(Issuer, Audience, new RsaSecurityKey(_rsa.ExportParameters(false))),
    });

    private static KafkaClients ClientsOf(LocalEventHubs hubs, TokenCredential credential) => new(new ReplicationOptions
    {
        Application = "rooms",
        BootstrapServers = hubs.BootstrapServers,
        PartitionCount = 1,
        LogIdentity = "deltas",
        Security = LogSecurity.Entra,
        Credential = credential,
        WithoutTls = true,
    });

    /// <summary>An identity whose tokens last as long as the test says.</summary>
    private sealed class Tokens(LogTokenTests test, TimeSpan lifetime, string? wrong = null) : TokenCredential
    {
        private int _given;

        public int Given => Volatile.Read(ref _given);

        public ConcurrentQueue<string> Scopes { get; } = new();

        public override AccessToken GetToken(TokenRequestContext requestContext, CancellationToken cancellationToken)
        {
            Scopes.Enqueue(Assert.Single(requestContext.Scopes));
            using var other = RSA.Create(2048);
            var now = DateTimeOffset.UtcNow;
            var ends = DateTimeOffset.FromUnixTimeSeconds((now + lifetime).ToUnixTimeSeconds()); // A token says it in whole seconds.
            var token = new JsonWebTokenHandler { SetDefaultTimesOnTokenCreation = false }.CreateToken(new SecurityTokenDescriptor
            {
                Issuer = wrong == "issuer" ? "https://sts.windows.net/another/" : Issuer,
                Audience = wrong == "audience" ? "https://another.servicebus.windows.net" : Audience,
                Subject = new ClaimsIdentity([new Claim("sub", "member")]),
                NotBefore = now.AddMinutes(-5).UtcDateTime,
                Expires = (wrong == "expired" ? now.AddMinutes(-1) : ends).UtcDateTime,
                SigningCredentials = new SigningCredentials(new RsaSecurityKey(wrong == "key" ? other : test._rsa) { CryptoProviderFactory = new CryptoProviderFactory { CacheSignatureProviders = false } }, SecurityAlgorithms.RsaSha256),
            });
            Interlocked.Increment(ref _given);
            return new AccessToken(token, ends); // An expired one too says so, or the client itself would not send it.
        }

        public override ValueTask<AccessToken> GetTokenAsync(TokenRequestContext requestContext, CancellationToken cancellationToken) => new(GetToken(requestContext, cancellationToken));
    }
}

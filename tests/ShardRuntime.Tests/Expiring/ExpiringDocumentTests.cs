using System.Buffers.Binary;
using ShardCloud.Crdt;
using ShardCloud.ShardRuntime.Expiring;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime.Tests.Expiring;

public sealed class ExpiringDocumentTests
{
    private static readonly DateTimeOffset Start = new(2026, 11, 24, 12, 0, 0, TimeSpan.Zero);
    private static readonly TimeSpan Idle = TimeSpan.FromMinutes(20);

    private Document _document = Document.Empty;
    private long _next = 1;

    /// <summary>What a session of an hour writes, a request every 5 s: a counter as <c>SetInt32</c> stores it, a text now and then, the deadline when it is due.</summary>
    [Fact]
    public void Apply_WritesOfALongSession_MedianDeltaIsAtMost32Bytes()
    {
        var sizes = new List<int>();
        for (var request = 0; request < 720; request++)
        {
            var count = new byte[4];
            BinaryPrimitives.WriteInt32BigEndian(count, request);
            sizes.Add(Write(Start + TimeSpan.FromSeconds(5 * request), new Lifetime(Idle, null), ("visits", count)));
            if (request % 10 == 0) Write(Start + TimeSpan.FromSeconds(5 * request), new Lifetime(Idle, null), ("theme", "dark"u8.ToArray()));
        }
        sizes.Sort();
        TestContext.Current.TestOutputHelper?.WriteLine($"bytes of a field write: median {sizes[360]}, 95 % {sizes[684]}, largest (with lifetime) {sizes[^1]}");
        Assert.InRange(sizes[360], 10, 32);
        Assert.InRange(sizes[684], 10, 64); // A tenth of them move the deadline at most.
    }

    [Fact]
    public void Apply_OfTheSameChangesTwice_IsTheSameOnce()
    {
        Write(Start, new Lifetime(Idle, null), ("a", [1]), ("b", [2]));
        Write(Start, new Lifetime(Idle, null), ("a", null), ("b", [3]));
        Write(Start, new Lifetime(Idle, null), ("a", null), ("b", [3]));

        Assert.Equal(["b"], Read(Start).Keys);
        Assert.Equal([3], Read(Start)["b"]);
    }

    [Fact]
    public void Sliding_UsedWithinIt_LivesAndElseIsGone()
    {
        Write(Start, new Lifetime(Idle, null), ("a", [1]));

        var now = Start + Idle - TimeSpan.FromSeconds(1);
        Assert.True(ExpiringDocument.Read(_document.Fields, now).IsRenewalDue);
        Use(now);
        now += Idle - TimeSpan.FromSeconds(1);
        Assert.Single(Read(now)); // Without the use it would be over.
        Use(now);
        now += 1.1 * Idle;
        Assert.Empty(Read(now)); // By then it is over for certain.
    }

    [Fact]
    public void Sliding_UsedAgainWithinATenth_WritesNothing()
    {
        Write(Start, new Lifetime(Idle, null), ("a", [1]));

        Assert.False(ExpiringDocument.Read(_document.Fields, Start + (0.09 * Idle)).IsRenewalDue);
        Assert.Equal(0, Use(Start + (0.09 * Idle)));
        Assert.NotEqual(0, Use(Start + (0.11 * Idle)));
    }

    [Fact]
    public void Absolute_HoweverOftenUsed_IsOverAtItsTime()
    {
        Write(Start, new Lifetime(TimeSpan.FromMinutes(2), TimeSpan.FromMinutes(5)), ("v", [1]));
        for (var minute = 1; minute < 5; minute++)
        {
            Assert.Single(Read(Start.AddMinutes(minute)));
            Use(Start.AddMinutes(minute));
        }
        Assert.Single(Read(Start.AddMinutes(5).AddMilliseconds(-1)));
        Assert.Empty(Read(Start.AddMinutes(5)));
    }

    [Fact]
    public void NoLifetime_YearsLater_IsStillThere()
    {
        Write(Start, new Lifetime(null, TimeSpan.FromMinutes(1)), ("v", [1]));
        Write(Start, new Lifetime(null, null), ("v", [2])); // The newer one's lifetime counts.

        Assert.Equal([2], Read(Start.AddYears(10))["v"]);
    }

    /// <summary>A late write must not bring back what was over: a session would come back without knowing what it had agreed to.</summary>
    [Fact]
    public void Apply_PastTheDeadline_StartsFromNothing()
    {
        Write(Start, new Lifetime(Idle, null), ("user", [1]), ("cart", [2]));
        Write(Start + (2 * Idle), new Lifetime(Idle, null), ("cart", [3]));

        Assert.Equal(["cart"], Read(Start + (2 * Idle)).Keys);
    }

    [Fact]
    public void Use_PastTheDeadline_EmptiesTheDocument()
    {
        Write(Start, new Lifetime(Idle, null), ("user", [1]));
        Assert.True(ExpiringDocument.IsPast(_document.Fields, Start + (2 * Idle)));

        Use(Start + (2 * Idle));

        Assert.Equal(0, _document.Fields.Count);
        Assert.False(ExpiringDocument.IsPast(_document.Fields, Start + (4 * Idle)));
    }

    [Fact]
    public void Use_OfNothing_MakesNothing() => Assert.Equal(0, Use(Start));

    [Theory]
    [InlineData("")]
    [InlineData("\0d")]
    [InlineData("long")]
    public void CheckName_OfABadName_ThrowsSC3002(string name) =>
        Assert.Equal("SC3002", Assert.Throws<ShardCloudException>(() => ExpiringDocument.CheckName(name == "long" ? new string('ä', 129) : name)).Code);

    [Fact]
    public void Wire_OfEverything_RoundTripsAndRefusesEveryPrefix()
    {
        var changes = new ExpiringChanges(true, [new("a", [1, 2]), new("ä", null), new("", [])], new Lifetime(Idle, TimeSpan.Zero));
        var read = ExpiringChanges.From(changes.ToBytes());
        Assert.Equal((changes.ClearsFirst, changes.Lifetime), (read.ClearsFirst, read.Lifetime));
        Assert.Equal(changes.Values.Select(v => (v.Key, v.Value is null ? null : Convert.ToHexString(v.Value))), read.Values.Select(v => (v.Key, v.Value is null ? null : Convert.ToHexString(v.Value))));
        var bytes = changes.ToBytes();
        for (var length = 0; length < bytes.Length; length++)
            Assert.Equal("SC3010", Assert.Throws<ShardCloudException>(() => ExpiringChanges.From(bytes.AsMemory(0, length))).Code);

        var content = ExpiringContent.From(new ExpiringContent(true, new Dictionary<string, byte[]> { ["a"] = [7] }).ToBytes());
        Assert.True(content.IsRenewalDue);
        Assert.Equal([7], content.Values["a"]);
    }

    private IReadOnlyDictionary<string, byte[]> Read(DateTimeOffset now) => ExpiringDocument.Read(_document.Fields, now).Values;

    private int Use(DateTimeOffset now) => Apply(ExpiringChanges.Use, now);

    private int Write(DateTimeOffset now, Lifetime lifetime, params (string Name, byte[]? Value)[] values) =>
        Apply(new ExpiringChanges(false, [.. values.Select(v => KeyValuePair.Create(v.Name, v.Value))], lifetime), now);

    /// <returns>Bytes of the delta; 0 when nothing changed.</returns>
    private int Apply(ExpiringChanges changes, DateTimeOffset now)
    {
        var transaction = new DocumentTransaction(_document, new Epoch(123_456), _next);
        ExpiringDocument.Apply(new EndpointState(new EndpointId("_shard-sessions/a"), transaction), changes, now);
        var delta = transaction.Commit(out _document, out _next);
        return delta.IssuedCount == 0 ? 0 : DocumentCodec.ToBytes(delta).Length;
    }
}

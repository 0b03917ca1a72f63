using ShardCloud.Crdt;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime.Expiring;

/// <summary>Values by name with one deadline for all of them, in an endpoint's document: what a session is, and a cache entry. Runs at the owner, by the owner's clock.</summary>
/// <remarks>
/// Each value is a register of its own, so changes of different names merge and a change travels alone. The deadline moves when the content is used, but only once
/// a tenth of the sliding time has passed, and then to a tenth more than that: a write to the log in ten uses at most, for content that lives
/// at least its sliding time after its last use and at most a tenth longer. Past the deadline the content reads as gone, and the next change, or
/// <see cref="ExpirySweep"/>, removes it. Names that begin with U+0000 are this class's own.
/// </remarks>
internal static class ExpiringDocument
{
    private const char Reserved = '\0';
    private const string Deadline = "\0d", Sliding = "\0s", Absolute = "\0a";

    /// <summary>What a name may be.</summary>
    /// <exception cref="ShardCloudException">SC3002: empty, longer than 256 bytes of UTF-8, or beginning with U+0000.</exception>
    /// <exception cref="ArgumentException">Half a surrogate pair, which UTF-8 cannot carry.</exception>
    public static void CheckName(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        var bytes = ExpiringWire.Utf8.GetByteCount(name);
        if (bytes is 0 or > Limits.NameBytesMax || name[0] == Reserved)
            throw new ShardCloudException(ErrorCodes.NameTooLong, $"The name of a value has {bytes} bytes; 1 to {Limits.NameBytesMax} are allowed, and it may not begin with U+0000.", "Use a shorter, printable name.");
    }

    /// <summary>The content now.</summary>
    public static ExpiringContent Read(OrMap fields, DateTimeOffset now)
    {
        if (IsPast(fields, now)) return ExpiringContent.None;
        var values = new Dictionary<string, byte[]>(StringComparer.Ordinal);
        foreach (var name in Names(fields)) values.Add(name, fields.Register(name).AsBytes().ToArray());
        return values.Count == 0 ? ExpiringContent.None : new ExpiringContent(Number(fields, Deadline) is { } deadline && IsDue(deadline, LifetimeOf(fields), now), values);
    }

    /// <summary>Changes values, and moves the deadline where it is due.</summary>
    public static void Apply(EndpointState state, ExpiringChanges changes, DateTimeOffset now)
    {
        if (IsPast(state.Fields, now)) Clear(state, [.. state.Fields.Keys]);
        else if (changes.ClearsFirst) Clear(state, Names(state.Fields));
        foreach (var (name, value) in changes.Values)
        {
            CheckName(name);
            if (value is null) state.Register(name).Clear();
            else state.Register(name).Set(value);
        }
        if (Names(state.Fields).Count == 0) Clear(state, [.. state.Fields.Keys]); // Nothing is left that could expire.
        else Renew(state, changes.Lifetime, now);
    }

    /// <summary>True when there is something whose deadline has passed.</summary>
    public static bool IsPast(OrMap fields, DateTimeOffset now) => Number(fields, Deadline) is { } deadline && deadline <= now.ToUnixTimeMilliseconds();

    private static void Renew(EndpointState state, Lifetime? lifetime, DateTimeOffset now)
    {
        var stored = LifetimeOf(state.Fields);
        var wanted = lifetime is { } asked ? StoredLifetime.Of(asked, now) : stored;
        Put(state, Sliding, stored.SlidingMs, wanted.SlidingMs);
        Put(state, Absolute, stored.AbsoluteUnixMs, wanted.AbsoluteUnixMs);
        var deadline = Number(state.Fields, Deadline);
        if (wanted != stored || deadline is null || IsDue(deadline.Value, wanted, now)) Put(state, Deadline, deadline, wanted.DeadlineFrom(now));
    }

    private static bool IsDue(long deadline, StoredLifetime lifetime, DateTimeOffset now) =>
        lifetime.SlidingMs is { } sliding && deadline - now.ToUnixTimeMilliseconds() < sliding && deadline < (lifetime.AbsoluteUnixMs ?? long.MaxValue);

    private static StoredLifetime LifetimeOf(OrMap fields) => new(Number(fields, Sliding), Number(fields, Absolute));

    private static long? Number(OrMap fields, string name) => fields.Register(name) is { IsNone: false } value ? value.AsInt64() : null;

    private static void Put(EndpointState state, string name, long? before, long? after)
    {
        if (before == after) return;
        if (after is { } number) state.Register(name).Set(number);
        else state.Register(name).Clear();
    }

    private static List<string> Names(OrMap fields) => [.. fields.Keys.Where(name => name[0] != Reserved)];

    private static void Clear(EndpointState state, List<string> names)
    {
        foreach (var name in names) state.Register(name).Clear();
    }

    /// <summary>How long content lives, as the document holds it.</summary>
    private readonly record struct StoredLifetime(long? SlidingMs, long? AbsoluteUnixMs)
    {
        public static StoredLifetime Of(Lifetime lifetime, DateTimeOffset now) =>
            new((long?)lifetime.Sliding?.TotalMilliseconds, lifetime.AbsoluteIn is { } left ? (now + left).ToUnixTimeMilliseconds() : null);

        public long? DeadlineFrom(DateTimeOffset now) =>
            SlidingMs is { } sliding ? Math.Min(now.ToUnixTimeMilliseconds() + sliding + (sliding / 10), AbsoluteUnixMs ?? long.MaxValue) : AbsoluteUnixMs;
    }
}

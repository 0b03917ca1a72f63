using System.Globalization;
using System.Security.Cryptography;

namespace ShardCloud.Orchestrator.Records;

/// <summary>Ids of records: newest first in the order of Azure Tables, which lists by row key only upwards.</summary>
public static class RecordIds
{
    /// <summary>An id such as <c>migrate-e66d…</c>: the prefix, the complement of the time in ms (12 hex digits), 12 random hex digits.</summary>
    public static string New(string prefix, TimeProvider time) => Of(prefix, time.GetUtcNow(), RandomNumberGenerator.GetHexString(12, lowercase: true));

    /// <summary>The same where time and random digits are given, as an orchestration needs it: its replay must come to the same id.</summary>
    /// <param name="prefix">What kind of record.</param>
    /// <param name="at">Time of the record.</param>
    /// <param name="random">12 hex digits.</param>
    public static string Of(string prefix, DateTimeOffset at, string random) =>
        string.Create(CultureInfo.InvariantCulture, $"{prefix}-{0xFFFF_FFFF_FFFFL - at.ToUnixTimeMilliseconds():x12}{random}");

    /// <summary>True when a text from a client may be looked up as an id: keys of Azure Tables refuse some characters.</summary>
    public static bool IsWellFormed(string id) =>
        id.Length is >= 1 and <= 100 && id.AsSpan().IndexOfAnyExcept("abcdefghijklmnopqrstuvwxyz0123456789-") < 0;
}

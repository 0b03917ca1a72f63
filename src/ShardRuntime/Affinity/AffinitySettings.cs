using System.ComponentModel.DataAnnotations;

namespace ShardCloud.ShardRuntime.Affinity;

/// <summary>Observation of which endpoints are used together: docs/affinity.md. The same at all members.</summary>
public sealed class AffinitySettings
{
    /// <summary>False: nothing is observed, and what an access costs is a test of a flag. Default true.</summary>
    public bool Enabled { get; set; } = true;

    /// <summary>Edges that this member keeps, those with most accesses; two fifths as many endpoints keep their names. About 150 bytes of memory for each, all taken at the start. Default 10,000: 2.0 MB in all.</summary>
    [Range(100, 100_000)]
    public int Edges { get; set; } = 10_000;

    /// <summary>After so long without being seen again an access counts half. Longer: steadier, and slower to see that use has changed. Default 10 minutes.</summary>
    [Range(typeof(TimeSpan), "00:00:10", "7.00:00:00")]
    public TimeSpan HalfLife { get; set; } = TimeSpan.FromMinutes(10);

    /// <summary>A client uses two endpoints together when it uses the second within this time after the first. Default 10 s; not longer than <see cref="HalfLife"/>.</summary>
    [Range(typeof(TimeSpan), "00:00:00.100", "00:05:00")]
    public TimeSpan Window { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>Cookie that tells one client from another; without it the <c>Authorization</c> header does, else the connection. Default <c>.AspNetCore.Session</c>.</summary>
    [Required, RegularExpression("^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$")]
    public string ClientCookie { get; set; } = ".AspNetCore.Session";
}

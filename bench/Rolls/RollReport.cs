using System.Text.Json;
using System.Text.Json.Serialization;
using ShardCloud.Cli.Demo;

namespace ShardCloud.Bench.Rolls;

/// <summary>One roll: what it came to, what it moved, and what clients saw meanwhile. <c>Errors</c>: answers with 500, which only a broken build gives; they are not among the failed. <c>CancelledIn</c>: the phase in which it was asked to go back;
/// <c>Hands</c>: how often a slot or a placed endpoint changed hands at most, by the map; <c>Kills</c>: of the Orchestrator.</summary>
internal sealed record Roll(
    string Version, string? Fault, string? CancelledIn, string Outcome, string? CaughtBy, string? Why, int Moves, int MovedMoreThanOnce, int MovedBack, int Hands, int Kills, long ShadowCompared, long ShadowDifferent, double Seconds, long Sent, long Failed, long Errors, double P50Ms, double P99Ms, double MaxMs, string? Router);

/// <summary>All of them, and the count at the end.</summary>
internal sealed record RollReport(
    IReadOnlyList<Roll> Rolls, long Sent, long Failed, long Lost, long Duplicated, WebSocketsSection Sockets, int Reconnects, double P50Ms, double P99Ms, double MaxMs, double Seconds, IReadOnlyList<string> Problems);

/// <summary>The same load while a plain proxy's application is stopped and a newer build of it started.</summary>
internal sealed record PlainReport(long Sent, long Failed, long Lost, WebSocketsSection Sockets, double Seconds);

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, WriteIndented = true)]
[JsonSerializable(typeof(RollReport))]
[JsonSerializable(typeof(PlainReport))]
internal sealed partial class ReportJson : JsonSerializerContext;

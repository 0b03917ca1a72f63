using System.Text.Json;
using System.Text.Json.Serialization;
using ShardCloud.Cli.Api;
using ShardCloud.Contracts;
using Spectre.Console;

namespace ShardCloud.Cli.Output;

/// <summary>Every move of an update, from the records of its migrations: <c>update show --moves</c>.</summary>
internal static class UpdateMovesView
{
    /// <summary>The moves in the order in which they were planned, those that were given up among them.</summary>
    public static async Task<IReadOnlyList<UpdateMove>> ReadAsync(ManagementClient api, StagedUpdate update, CancellationToken cancellationToken)
    {
        var rounds = update.Waves.SelectMany(wave => wave.Migrations.Select(id => (Wave: (int?)wave.Number, id))).Concat((update.RollBack?.Migrations ?? []).Select(id => (Wave: (int?)null, id)));
        var moves = new List<UpdateMove>();
        foreach (var (wave, id) in rounds)
        {
            try
            {
                var migration = await api.MigrationAsync(id, cancellationToken);
                moves.AddRange(migration.Batches.SelectMany(batch => batch.Entries.Select(entry => new UpdateMove(
                    entry, wave, id, batch.Index, batch.From, batch.To, batch.Outcome, batch.GrantedVersion, migration.Reason, batch.Costs.PhasesMs, batch.Costs.PauseP50Ms, batch.Costs.PauseMaxMs))));
            }
            catch (ShardCloudException error) when (error.Code == ErrorCodes.NotFound)
            {
                // The Orchestrator stopped between the update's record and this one: nothing was moved under that id, and nothing will be.
            }
        }
        return moves;
    }

    public static void Write(Terminal terminal, StagedUpdate update, IReadOnlyList<UpdateMove> moves) => terminal.Result(new UpdateWithMoves(update, moves), UpdateMovesJson.Default.UpdateWithMoves, console =>
    {
        UpdateView.Write(console, update);
        var table = Tables.Plain("moved", "from", "to", "outcome", "why", "pause max", "phases");
        foreach (var move in moves)
        {
            table.AddRow(
                Markup.Escape(move.Entry), Markup.Escape(MigrationView.Short(move.From)), Markup.Escape(MigrationView.Short(move.To)), move.Outcome is { } outcome ? UpdateView.NameOf(outcome) : "running",
                Markup.Escape(move.Reason), move.PauseMaxMs is { } pause ? $"{pause:0.0} ms" : "-", Markup.Escape(MigrationView.PhasesOf(move.PhasesMs)));
        }
        console.Write(table);
    });
}

/// <summary>The move of one slot range or placed endpoint; <c>wave</c>: absent on the way back. Phases and pauses are those of its batch.</summary>
internal sealed record UpdateMove(
    string Entry, int? Wave, string Migration, int Batch, string From, string To, MigrationOutcome? Outcome, long? GrantedVersion, string Reason, IReadOnlyDictionary<string, double> PhasesMs, double? PauseP50Ms, double? PauseMaxMs);

/// <summary>What <c>update show --moves --json</c> prints.</summary>
internal sealed record UpdateWithMoves(StagedUpdate Update, IReadOnlyList<UpdateMove> Moves);

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(UpdateWithMoves))]
internal sealed partial class UpdateMovesJson : JsonSerializerContext;

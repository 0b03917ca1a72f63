using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Azure;
using Azure.Data.Tables;
using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Packages;

namespace ShardCloud.Orchestrator.Updates;

/// <summary>Records of staged updates in table <c>updates</c>, and which of them runs: one at a time. Thread-safe.</summary>
/// <remarks>
/// A record is one row (partition key: application; row key: id), its JSON cut over several properties. The row <c>running</c> of the same partition names the update that runs; it comes and goes in one
/// transaction with the record, so two can never run at once.
/// </remarks>
public sealed class UpdateStore(RecordTable records)
{
    private const string Table = "updates";
    private const string Running = "running";

    /// <summary>Characters of one property: below the 32 Ki of Azure Tables.</summary>
    private const int PieceMax = 30_000;

    /// <summary>Properties of one record: below the 1 MiB of a row.</summary>
    private const int PiecesMax = 15;

    private const int TriesMax = 20, ListMax = 100;

    /// <summary>True when a text from a client may be looked up as an id: <c>update-2.0.0</c>, <c>update-2.0.0-2</c>.</summary>
    public static bool IsWellFormed(string id) => id.Split('-') is ["update", var version, .. var rest] && PackageVersion.TryParse(version, out _)
        && (rest.Length == 0 || (rest.Length == 1 && int.TryParse(rest[0], NumberStyles.None, CultureInfo.InvariantCulture, out _)));

    /// <summary>The first id of a version that no record has.</summary>
    public async Task<string> NextIdAsync(string version, CancellationToken cancellationToken)
    {
        for (var number = 1; ; number++)
        {
            var id = string.Create(CultureInfo.InvariantCulture, $"update-{version}{(number == 1 ? "" : $"-{number}")}");
            if (await ReadAsync(id, cancellationToken) is null) return id;
        }
    }

    /// <summary>Writes the record of an update that begins.</summary>
    /// <exception cref="Management.InTheWayException">SC5051: one runs.</exception>
    public async Task CreateAsync(UpdateRecord update, CancellationToken cancellationToken)
    {
        var table = await records.OpenAsync(Table);
        try
        {
            await table.SubmitTransactionAsync([new(TableTransactionActionType.Add, Row(update)), new(TableTransactionActionType.Add, new TableEntity(records.Application, Running) { ["Id"] = update.Public.Id })], cancellationToken);
        }
        catch (RequestFailedException error) when (error.Status == 409)
        {
            throw InTheWay(await RunningIdAsync(cancellationToken) ?? update.Public.Id); // It may have ended just now; whoever asks again is let in.
        }
    }

    /// <summary>The id of the update that runs; null when none does.</summary>
    public async Task<string?> RunningIdAsync(CancellationToken cancellationToken)
    {
        var table = await records.OpenAsync(Table);
        var row = await table.GetEntityIfExistsAsync<TableEntity>(records.Application, Running, cancellationToken: cancellationToken);
        return row.HasValue ? row.Value!.GetString("Id") : null;
    }

    /// <summary>Refuses while an update runs.</summary>
    /// <exception cref="Management.InTheWayException">SC5051 with its id.</exception>
    public async Task CheckNoneRunsAsync(CancellationToken cancellationToken)
    {
        if (await RunningIdAsync(cancellationToken) is { } other) throw InTheWay(other);
    }

    /// <summary>The update that runs; null when none does.</summary>
    public async Task<UpdateRecord?> ReadRunningAsync(CancellationToken cancellationToken) =>
        await RunningIdAsync(cancellationToken) is { } id ? await ReadAsync(id, cancellationToken) : null;

    /// <summary>One record; null when there is none.</summary>
    public async Task<UpdateRecord?> ReadAsync(string id, CancellationToken cancellationToken)
    {
        var table = await records.OpenAsync(Table);
        var row = await table.GetEntityIfExistsAsync<TableEntity>(records.Application, id, cancellationToken: cancellationToken);
        return row.HasValue ? Read(row.Value!) : null;
    }

    /// <summary>The last 100, newest first.</summary>
    public async Task<UpdateList> ListAsync(CancellationToken cancellationToken)
    {
        var table = await records.OpenAsync(Table);
        var found = new List<StagedUpdate>();
        await foreach (var row in table.QueryAsync<TableEntity>(TableClient.CreateQueryFilter($"PartitionKey eq {records.Application} and RowKey ne {Running}"), cancellationToken: cancellationToken))
            found.Add(Read(row).Public);
        return new UpdateList([.. found.OrderByDescending(update => update.StartedAt).Take(ListMax).Select(update => new UpdateSummary(
            update.Id, update.Version, update.FromVersion, update.State, update.Outcome, update.Step, update.StepText, update.RequestedBy, update.StartedAt, update.FinishedAt))]);
    }

    /// <summary>Changes a record that is not finished. The change may run several times, each time on what the record says then; null leaves it as it is.</summary>
    /// <returns>The record as it is now.</returns>
    /// <exception cref="ShardCloudException">SC5011: no such update.</exception>
    public async Task<UpdateRecord> UpdateAsync(string id, Func<UpdateRecord, UpdateRecord?> change, CancellationToken cancellationToken)
    {
        var table = await records.OpenAsync(Table);
        for (var attempt = 0; ; attempt++)
        {
            var found = await table.GetEntityIfExistsAsync<TableEntity>(records.Application, id, cancellationToken: cancellationToken);
            if (!found.HasValue) throw new ShardCloudException(ErrorCodes.NotFound, $"There is no update '{id}'.", "List the updates.");
            var before = Read(found.Value!);
            if (before.Public.State == UpdateState.Finished || change(before) is not { } after) return before;
            try
            {
                var write = new TableTransactionAction(TableTransactionActionType.UpdateReplace, Row(after), found.Value!.ETag);
                if (after.Public.State == UpdateState.Finished) await table.SubmitTransactionAsync([write, new(TableTransactionActionType.Delete, new TableEntity(records.Application, Running) { ETag = ETag.All })], cancellationToken);
                else await table.SubmitTransactionAsync([write], cancellationToken);
                return after;
            }
            catch (RequestFailedException error) when (error.Status == 412 && attempt < TriesMax)
            {
                // Somebody else wrote it in between: change what it says now.
            }
        }
    }

    private static Management.InTheWayException InTheWay(string id) => new(ErrorCodes.UpdateRunning, $"The update '{id}' runs.", "Wait for it, or cancel it: 'shardcloud update cancel'.", id);

    internal TableEntity Row(UpdateRecord update)
    {
        var text = JsonSerializer.Serialize(update, UpdateRecordJson.Default.UpdateRecord);
        var row = new TableEntity(records.Application, update.Public.Id);
        if (text.Length > PieceMax * PiecesMax) throw new ShardCloudException(ErrorCodes.OverLimit, $"The record of '{update.Public.Id}' has {text.Length} characters; {PieceMax * PiecesMax} are possible.", "Look at the number of its waves and retries.");
        for (var piece = 0; piece * PieceMax < text.Length; piece++) row[Piece(piece)] = text.Substring(piece * PieceMax, Math.Min(PieceMax, text.Length - piece * PieceMax));
        return row;
    }

    internal static UpdateRecord Read(TableEntity row)
    {
        var text = string.Concat(Enumerable.Range(0, PiecesMax).Select(piece => row.GetString(Piece(piece))));
        return JsonSerializer.Deserialize(text, UpdateRecordJson.Default.UpdateRecord)!;
    }

    private static string Piece(int number) => string.Create(CultureInfo.InvariantCulture, $"Text{number:D2}");
}

/// <summary>A record with what only its own steps need.</summary>
public sealed record UpdateRecord(StagedUpdate Public, UpdateWork Work)
{
    /// <summary>True while this update takes away the shards of a version: none of them is replaced any more.</summary>
    public bool IsLeaving(string version) => Public.RollBack is not null ? version == Public.Version : Public.Step >= UpdateStep.RemoveOld && version == Public.FromVersion;
}

/// <summary>State of the steps under way.</summary>
/// <param name="Since">When the present step began.</param>
/// <param name="Plans">How many rounds of moves were planned so far; makes the ids of their migrations, none of which is ever used twice.</param>
/// <param name="Open">Migrations of the round under way.</param>
/// <param name="RetryUntil">From when on the wave is not tried again.</param>
/// <param name="NotMoved">What could not be moved until then.</param>
/// <param name="OldBefore">Counts of the old version's members when the update began, by incarnation.</param>
/// <param name="NewBefore">Counts of the new version's members when the wave was moved.</param>
/// <param name="ParkedBefore">Parked requests of all members when the wave was moved.</param>
/// <param name="Known">Members of the new version seen in this wave.</param>
/// <param name="AwaySince">From when on a shard of the new version has not answered.</param>
/// <param name="LookedAt">When the gate looked last.</param>
/// <param name="Tries">Rounds of the present step.</param>
/// <param name="Removals">How often removing shards was begun in it.</param>
/// <param name="Failures">How often it could not be done.</param>
/// <param name="Failing">Why it goes back, where a check or a step failed.</param>
/// <param name="Left">What could not be moved or removed at the end.</param>
public sealed record UpdateWork(
    DateTimeOffset Since, int Plans, IReadOnlyList<string> Open, DateTimeOffset? RetryUntil, int NotMoved, IReadOnlyDictionary<string, MemberTraffic> OldBefore,
    IReadOnlyDictionary<string, MemberTraffic> NewBefore, IReadOnlyDictionary<string, long> ParkedBefore, IReadOnlyList<string> Known, DateTimeOffset? AwaySince,
    DateTimeOffset? LookedAt, int Tries, int Removals, int Failures, WireError? Failing, WireError? Left)
{
    /// <summary>Nothing yet.</summary>
    public static UpdateWork At(DateTimeOffset now) => new(
        now, 0, [], null, 0, new Dictionary<string, MemberTraffic>(), new Dictionary<string, MemberTraffic>(), new Dictionary<string, long>(), [], null, null, 0, 0, 0, null, null);
}

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(UpdateRecord))]
internal sealed partial class UpdateRecordJson : JsonSerializerContext;

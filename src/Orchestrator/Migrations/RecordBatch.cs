using ShardCloud.Contracts;
using ShardCloud.DurableTask;

namespace ShardCloud.Orchestrator.Migrations;

/// <summary>Step 9 of a batch: its end, into its record.</summary>
public sealed class RecordBatch(MigrationStore migrations) : TaskActivity<BatchEnd, bool>
{
    /// <inheritdoc/>
    public override async Task<bool> RunAsync(TaskActivityContext context, BatchEnd input)
    {
        var batch = await migrations.ReadBatchAsync(input.Id, input.Batch, context.CancellationToken);
        if (batch.State == MigrationState.Finished) return true;
        await migrations.WriteBatchAsync(input.Id, batch with
        {
            State = MigrationState.Finished,
            Outcome = input.Outcome,
            Error = input.Error,
            ConflictWith = input.ConflictWith,
        }, context.CancellationToken);
        return true;
    }
}

/// <summary>Step 9 of the whole: the verdict over all batches. Returns the outcome.</summary>
public sealed class RecordMigration(MigrationStore migrations) : TaskActivity<string, string>
{
    /// <inheritdoc/>
    public override async Task<string> RunAsync(TaskActivityContext context, string input) =>
        (await migrations.FinishAsync(input, null, context.CancellationToken)).Outcome?.ToString() ?? "";
}

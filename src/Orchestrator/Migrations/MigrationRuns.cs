using ShardCloud.DurableTask;

namespace ShardCloud.Orchestrator.Migrations;

/// <summary>Migrations as parts of an operation's orchestration: started as its children, and over when their records say so.</summary>
/// <remarks>
/// A host tells a parent of the end of a child that this parent has started, and of no other: where the Monitor has started a lost one again, or the parent itself began anew while the child ran, that word never comes.
/// So the record is asked too, every <see cref="LookEvery"/>; it is what counts.
/// </remarks>
internal static class MigrationRuns
{
    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(10);

    /// <summary>Runs them side by side until each is over, however it ended.</summary>
    public static Task RunAsync(TaskOrchestrationContext context, IEnumerable<MigrationStart> starts, TaskOptions patient) => Task.WhenAll(starts.Select(start => RunAsync(context, start, patient)));

    private static async Task RunAsync(TaskOrchestrationContext context, MigrationStart start, TaskOptions patient)
    {
        var child = context.CallSubOrchestratorAsync<string>(nameof(MigrateEndpoints), start, new SubOrchestrationOptions(InstanceId: start.Id));
        while (true)
        {
            using var heard = new CancellationTokenSource();
            var timer = context.CreateTimer(LookEvery, heard.Token);
            if (await Task.WhenAny(child, timer) == child)
            {
                heard.Cancel(); // Here and now: CancelAsync would leave the orchestrator's thread.
                await child;
                return;
            }
            if (await context.CallActivityAsync<bool>(nameof(IsMigrationOver), start.Id, patient)) return;
        }
    }
}

/// <summary>True when the migration's record is finished.</summary>
public sealed class IsMigrationOver(MigrationStore migrations) : TaskActivity<string, bool>
{
    /// <inheritdoc/>
    public override async Task<bool> RunAsync(TaskActivityContext context, string input) =>
        await migrations.ReadAsync(input, context.CancellationToken) is { State: Contracts.MigrationState.Finished };
}

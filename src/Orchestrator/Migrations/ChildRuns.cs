using ShardCloud.DurableTask;

namespace ShardCloud.Orchestrator.Migrations;

/// <summary>Migrations and operations as parts of an orchestration: started as its children, and over when their records say so.</summary>
/// <remarks>
/// A host tells a parent of the end of a child that this parent has started, and of no other: where the Monitor has started a lost one again that word never comes, and a parent that began anew while the child ran
/// is told that it failed, for there is one. So the record is asked too, every <see cref="LookEvery"/>; it is what counts.
/// </remarks>
internal static class ChildRuns
{
    /// <summary>Six hours: longer than a migration whose steps are all as patient as they may be, and a history that a host can still carry.</summary>
    private const int LooksMax = 2_160;

    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(10);

    /// <summary>Runs them side by side until each is over, however it ended.</summary>
    public static Task RunAsync(TaskOrchestrationContext context, IEnumerable<MigrationStart> starts, TaskOptions patient) => Task.WhenAll(starts.Select(start => RunAsync(context, start, patient)));

    /// <summary>Runs one until it is over.</summary>
    /// <returns>Its outcome; empty when it was not over after <see cref="LooksMax"/> looks.</returns>
    public static Task<string> RunAsync(TaskOrchestrationContext context, MigrationStart start, TaskOptions patient) =>
        RunAsync<string>(context, nameof(MigrateEndpoints), start.Id, start, nameof(ReadOutcome), patient);

    /// <summary>The same for any child that has a record.</summary>
    /// <param name="context">The parent.</param>
    /// <param name="name">The child's orchestration.</param>
    /// <param name="id">Of its instance and of its record.</param>
    /// <param name="input">Its input.</param>
    /// <param name="readOutcome">The activity that asks the record, given the id; null before it is over.</param>
    /// <param name="patient">How that is repeated.</param>
    public static async Task<string> RunAsync<T>(TaskOrchestrationContext context, string name, string id, object input, string readOutcome, TaskOptions patient)
    {
        using var over = new CancellationTokenSource();
        var child = context.CallSubOrchestratorAsync<T>(name, input, new SubOrchestrationOptions(InstanceId: id, Forget: over.Token));
        for (var look = 0; look < LooksMax; look++)
        {
            using var heard = new CancellationTokenSource();
            var timer = context.CreateTimer(LookEvery, heard.Token);
            await (child.IsFaulted ? timer : Task.WhenAny(child, timer));
            heard.Cancel(); // Here and now: CancelAsync would leave the orchestrator's thread.
            if (child.IsCompletedSuccessfully) return (await child)?.ToString() ?? "";
            if (await context.CallActivityAsync<string?>(readOutcome, id, patient) is not { } outcome) continue;
            over.Cancel(); // Or this orchestration would never be complete: a call that is open holds it.
            return outcome;
        }
        over.Cancel();
        return "";
    }
}

/// <summary>The outcome of a migration whose record is finished; null before.</summary>
public sealed class ReadOutcome(MigrationStore migrations) : TaskActivity<string, string?>
{
    /// <inheritdoc/>
    public override async Task<string?> RunAsync(TaskActivityContext context, string input) => (await migrations.ReadHeadAsync(input, context.CancellationToken)).Outcome?.ToString();
}

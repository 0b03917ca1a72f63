using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Members;

/// <summary>Tells members of a map version that the Orchestrator has committed, so that none has to wait for its next look at the table (a second).</summary>
/// <remarks>Members tell each other by a control record in the log; the Orchestrator has no access to the log and calls them. A hint: the table is what counts.</remarks>
public sealed class MapHerald(MemberDirectory directory, MemberClient members)
{
    /// <summary>Members told at the same time.</summary>
    private const int ParallelMax = 32;

    /// <summary>Whoever has not answered by then will see it in the table.</summary>
    private static readonly TimeSpan AnswerWithin = TimeSpan.FromMilliseconds(500);

    /// <summary>Tells every member in office; ends when all were told or the time is over.</summary>
    public async Task TellAsync(MapVersion version, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(AnswerWithin);
        try
        {
            var rows = await directory.ListAsync(limit.Token);
            await Parallel.ForEachAsync(
                rows.Where(row => !row.IsFinal && row.MemberAddress.Length > 0), new ParallelOptions { MaxDegreeOfParallelism = ParallelMax, CancellationToken = limit.Token },
                async (row, stop) => await TellAsync(row.MemberAddress, version, stop));
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            // Time is over: the others look at the table themselves.
        }
        catch (ShardCloudException)
        {
            // Nobody to tell, for the store does not answer now.
        }
    }

    private async Task TellAsync(string address, MapVersion version, CancellationToken cancellationToken)
    {
        try
        {
            await members.PokeAsync(address, version, cancellationToken);
        }
        catch (ShardCloudException)
        {
            // It will see it in the table.
        }
    }
}

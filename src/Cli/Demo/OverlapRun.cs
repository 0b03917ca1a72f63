using System.Diagnostics;
using System.Net;
using ShardCloud.Cli.Api;
using ShardCloud.Cli.Stack;
using ShardCloud.Cli.Stack.Faults;

namespace ShardCloud.Cli.Demo;

/// <summary>Both sides of an overlap write to one convergent endpoint: its owner is cut off from the tables, its backup takes over, and clients write at both.</summary>
/// <remarks>
/// The router follows the map and so reaches the new owner; who talks to the old one directly is served there as before. Each sees what the other writes, through the log.
/// When the cut is mended the old owner learns that it was fenced, retires and ends; then every write is counted at the new one.
/// </remarks>
internal sealed class OverlapRun(LocalStack stack, ManagementClient api, Action<string> say)
{
    private const int WritesEach = 50;

    private static readonly TimeSpan CutAtMost = TimeSpan.FromSeconds(60), Patience = TimeSpan.FromSeconds(60);

    public async Task<OverlapSection> RunAsync(string page, CancellationToken cancellationToken)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(Patience);
        using var router = NewClient(stack.Run.Router);
        var before = (await LikeAsync(router, page, patience.Token)).Value;
        var old = await api.OwnerAsync($"likes/{page}", patience.Token);
        using var direct = NewClient(old.PublicAddress!);

        stack.Faults.Apply(new FaultRequest("partition", old.Shard, (int)CutAtMost.TotalSeconds, "storage"));
        var cut = Stopwatch.StartNew();
        var (writesOld, writesNew) = (0L, 0L);

        // Until the backup has taken over, the router's requests are the old owner's too: it needs no lease for this endpoint, so none of them waits.
        for (var answer = await LikeAsync(router, page, patience.Token); ; answer = await LikeAsync(router, page, patience.Token))
        {
            if (answer.Shard != old.Shard)
            {
                writesNew++;
                break;
            }
            writesOld++;
            await Task.Delay(50, patience.Token);
        }
        say($"{old.Shard} is cut off from the tables and was taken over after {cut.Elapsed.TotalSeconds:0.0} s; clients write to likes/{page} at both.");
        for (var i = 0; i < WritesEach; i++)
        {
            var answers = await Task.WhenAll(LikeAsync(direct, page, patience.Token), LikeAsync(router, page, patience.Token));
            if (answers[0].Shard == old.Shard) writesOld++;
            else throw new InvalidOperationException($"{old.Shard} gave likes/{page} up after {cut.Elapsed.TotalSeconds:0.0} s, while it was cut off.");
            writesNew++;
        }

        // What the others wrote reaches the cut-off side too: it is cut off from the tables, not from the log.
        var total = before + writesOld + writesNew;
        var seen = await UntilAsync(() => ReadAsync(direct, page, patience.Token), total, patience.Token);
        say($"{old.Shard} shows {seen} of {total} while it is still cut off.");

        stack.Faults.Apply(new FaultRequest("mend", old.Shard));
        await UntilGoneAsync(direct, patience.Token);
        say($"{old.Shard} has learned of it, retired and ended.");
        var kept = await UntilAsync(() => ReadAsync(router, page, patience.Token), total, patience.Token);
        return new(writesOld, writesNew, kept - before, total - kept);
    }

    private static HttpClient NewClient(string address) => new() { BaseAddress = new Uri(address), Timeout = Patience };

    private static async Task<(long Value, string Shard)> LikeAsync(HttpClient client, string page, CancellationToken cancellationToken)
    {
        using var response = await client.PostAsync($"likes/{page}", null, cancellationToken);
        return await AnswerAsync(response, cancellationToken);
    }

    private static async Task<long> ReadAsync(HttpClient client, string page, CancellationToken cancellationToken)
    {
        using var response = await client.GetAsync($"likes/{page}", cancellationToken);
        return (await AnswerAsync(response, cancellationToken)).Value;
    }

    private static async Task<(long Value, string Shard)> AnswerAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        response.EnsureSuccessStatusCode();
        var answer = await response.Content.ReadFromJsonAsync(DemoJson.Default.JsonElement, cancellationToken);
        return (answer.GetProperty("likes").GetInt64(), answer.GetProperty("shard").GetString()!);
    }

    /// <summary>Reads until the value is there; the last one read when it does not come in time.</summary>
    private static async Task<long> UntilAsync(Func<Task<long>> read, long wanted, CancellationToken cancellationToken)
    {
        var clock = Stopwatch.StartNew();
        var value = await read();
        for (; value != wanted && clock.Elapsed < TimeSpan.FromSeconds(5); value = await read()) await Task.Delay(50, cancellationToken);
        return value;
    }

    private static async Task UntilGoneAsync(HttpClient client, CancellationToken cancellationToken)
    {
        while (true)
        {
            try
            {
                using var response = await client.GetAsync("healthz", cancellationToken);
                if (response.StatusCode != HttpStatusCode.OK) return;
            }
            catch (HttpRequestException)
            {
                return;
            }
            await Task.Delay(100, cancellationToken);
        }
    }
}

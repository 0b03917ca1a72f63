using System.Net.Http.Json;
using System.Text.Json;

namespace ShardCloud.Bench.Crash;

/// <summary>Rooms take items while processes die: each take is a message from the room's outbox to the item, and must take effect there once.</summary>
/// <remarks>A take that failed is no error here: it either counts on both sides or on neither.</remarks>
internal sealed class ItemsLoad(HttpClient http, IReadOnlyList<string> rooms, int seed)
{
    private const int Items = 6;
    private static readonly TimeSpan Every = TimeSpan.FromMilliseconds(40), EmptyMax = TimeSpan.FromSeconds(60);

    /// <summary>At most this many takes wait for an answer at once.</summary>
    private const int InFlightMax = 100;

    /// <summary>Takes at a steady pace until the token fires, then waits for what is in flight.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        var random = new Random(seed);
        List<Task> running = [];
        using var timer = new PeriodicTimer(Every);
        while (!stop.IsCancellationRequested)
        {
            running.RemoveAll(task => task.IsCompleted);
            if (running.Count < InFlightMax) running.Add(TakeAsync(rooms[random.Next(rooms.Count)], 1 + random.Next(Items)));
            try
            {
                await timer.WaitForNextTickAsync(stop);
            }
            catch (OperationCanceledException)
            {
                break;
            }
        }
        await Task.WhenAll(running);
    }

    /// <summary>Waits until no message is on its way, then compares what rooms and items say.</summary>
    /// <param name="problems">Gets what differs.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <returns>How many takes the rooms count.</returns>
    public async Task<long> CompareAsync(List<string> problems, CancellationToken cancellationToken)
    {
        using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        over.CancelAfter(EmptyMax);
        Dictionary<(string Room, string Item), long> taken = [];
        foreach (var room in rooms)
        {
            var view = await GetAsync($"rooms/{room}/items", over.Token);
            while (view.GetProperty("waiting").GetInt32() > 0)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(50), over.Token);
                view = await GetAsync($"rooms/{room}/items", over.Token);
            }
            foreach (var item in view.GetProperty("items").EnumerateObject()) taken[(room, item.Name)] = item.Value.GetInt64();
        }
        Dictionary<(string Room, string Item), long> received = [];
        for (var item = 1; item <= Items; item++)
        {
            foreach (var room in (await GetAsync($"inventory/{item}", over.Token)).GetProperty("rooms").EnumerateObject()) received[(room.Name, $"{item}")] = room.Value.GetInt64();
        }
        foreach (var pair in taken.Keys.Union(received.Keys).Where(pair => taken.GetValueOrDefault(pair) != received.GetValueOrDefault(pair)))
            problems.Add($"rooms/{pair.Room} took item {pair.Item} {taken.GetValueOrDefault(pair)} times, inventory/{pair.Item} heard of {received.GetValueOrDefault(pair)}.");
        return taken.Values.Sum();
    }

    private Task<JsonElement> GetAsync(string path, CancellationToken cancellationToken) => http.GetFromJsonAsync<JsonElement>(path, cancellationToken);

    private async Task TakeAsync(string room, int item)
    {
        try
        {
            using var answer = await http.PostAsync($"rooms/{room}/items/{item}/take", null, CancellationToken.None);
        }
        catch (Exception error) when (error is HttpRequestException or TaskCanceledException)
        {
            // The router was told to stop, or a whole cloud was away for longer than requests wait.
        }
    }
}

using System.Net.ServerSentEvents;
using ShardCloud.ShardRuntime.Tests.Hosting;

namespace ShardCloud.ShardRuntime.Tests.Streams;

/// <summary>A client that holds one event stream open.</summary>
internal sealed class EventReader : IAsyncDisposable
{
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(15);
    private readonly HttpResponseMessage _answer;
    private readonly IAsyncEnumerator<SseItem<string>> _events;

    private EventReader(HttpResponseMessage answer, Stream body) => (_answer, _events) = (answer, SseParser.Create(body).EnumerateAsync().GetAsyncEnumerator());

    public HttpResponseMessage Answer => _answer;

    public static async Task<EventReader> OpenAsync(TestMember at, string path, string? lastId = null)
    {
        var request = new HttpRequestMessage(HttpMethod.Get, path);
        if (lastId is not null) request.Headers.Add("Last-Event-ID", lastId);
        var answer = await at.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        Assert.Equal("text/event-stream", answer.Content.Headers.ContentType?.MediaType);
        return new EventReader(answer, await answer.Content.ReadAsStreamAsync());
    }

    /// <summary>The next event's data; null at the stream's end.</summary>
    public async Task<string?> NextAsync() => await _events.MoveNextAsync().AsTask().WaitAsync(Soon) ? _events.Current.Data : null;

    /// <summary>Leaves. A read that waits is given up with the connection.</summary>
    public ValueTask DisposeAsync()
    {
        _answer.Dispose();
        return ValueTask.CompletedTask;
    }
}

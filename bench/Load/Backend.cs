using System.Net;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace ShardCloud.Bench.Load;

/// <summary>The application behind both proxies: a trivial GET and POST, so that what differs is the proxy.</summary>
internal static class Backend
{
    public static async Task<int> RunAsync(int http1, int http2)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.SetMinimumLevel(LogLevel.Warning);
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.Http2.MaxStreamsPerConnection = 1_000; // As a member's listener.
            kestrel.Listen(IPAddress.Loopback, http1, listen => listen.Protocols = HttpProtocols.Http1);
            kestrel.Listen(IPAddress.Loopback, http2, listen => listen.Protocols = HttpProtocols.Http2);
        });
        var app = builder.Build();
        var answer = """{"room":"1","visits":42,"title":"a title of usual length","members":[1,2,3,4,5]}"""u8.ToArray();
        app.MapGet("/rooms/{room}", (HttpContext context) => AnswerAsync(context, answer));
        app.MapPost("/rooms/{room}/increment", async (HttpContext context) =>
        {
            await context.Request.Body.CopyToAsync(Stream.Null, context.RequestAborted);
            await AnswerAsync(context, answer);
        });
        await app.RunAsync();
        return 0;
    }

    private static Task AnswerAsync(HttpContext context, byte[] answer)
    {
        context.Response.ContentType = "application/json";
        context.Response.ContentLength = answer.Length;
        return context.Response.Body.WriteAsync(answer, context.RequestAborted).AsTask();
    }
}

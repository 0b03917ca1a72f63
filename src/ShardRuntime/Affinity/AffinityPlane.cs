using System.IO.Compression;
using System.Net.Mime;
using ShardCloud.Placement.Affinity;
using ShardCloud.ShardRuntime.Handoff;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Sockets.Owner;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime.Affinity;

/// <summary>Tells the Orchestrator what was observed here: docs/protocol/members.md.</summary>
internal sealed class AffinityPlane(AffinityObserver observer, OwnedLegs legs, IEndpointStates states) : IControlPlane
{
    public void Map(IEndpointRouteBuilder endpoints) => endpoints.MapGet("/_shard/affinity", Control.Answer(async context =>
    {
        var bytes = AffinityFile.Write(observer.Read(legs.CountByEndpoint(), StateBytesOf));
        if (context.Request.GetTypedHeaders().AcceptEncoding.Any(accepted => accepted.Value == "br" && accepted.Quality is not 0)) // A third of it is left, for 4 ms once a minute (bench/Micro, affinity).
        {
            context.Response.Headers.ContentEncoding = "br";
            bytes = Packed(bytes);
        }
        (context.Response.ContentType, context.Response.ContentLength) = (MediaTypeNames.Application.Json, bytes.Length);
        await context.Response.Body.WriteAsync(bytes, context.RequestAborted);
    }));

    private static byte[] Packed(byte[] bytes)
    {
        using var packed = new MemoryStream();
        using (var brotli = new BrotliStream(packed, CompressionLevel.Fastest)) brotli.Write(bytes);
        return packed.ToArray();
    }

    private long StateBytesOf(EndpointId endpoint) => states.TryOpen(endpoint, out var owned) && !owned.Current.IsEmpty ? owned.Current.EncodedSize : 0;
}

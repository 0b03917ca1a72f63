using System.Collections.Concurrent;
using ShardCloud.Crdt;

namespace ShardCloud.ShardRuntime.Requests;

/// <summary>The recorded answers in an endpoint's document: what is kept, what is dropped when, and how a repeat is answered.</summary>
/// <remarks>
/// A record is part of the same delta as the changes of its request. It is dropped, with the next write, once a member says that the answer
/// arrived, or when it expires: counted on the owner's clock from the answer, and anew from when this member first held the grant, so that a
/// predecessor's clock cannot drop a record early (TRACES 20).
/// </remarks>
public sealed class CompletionRecords(RequestSettings settings, Confirmations confirmed, TimeProvider time)
{
    /// <summary>Grants whose start is remembered; past it all start anew, which only keeps records longer.</summary>
    public const int GrantsMax = 4_096;

    /// <summary>Content type of a record whose body was too large to keep.</summary>
    private const string NotKept = "application/x-shardcloud-not-recorded";

    private readonly ConcurrentDictionary<Epoch, long> _heldSince = new();

    /// <summary>Notes that the answers of these requests arrived; their records go with the next write.</summary>
    public void Confirm(EndpointId endpoint, string ids)
    {
        foreach (var range in ids.AsSpan().Split(','))
        {
            var id = ids.AsSpan()[range].Trim();
            if (id.Length is > 0 and <= Limits.NameBytesMax) confirmed.Add(endpoint, id.ToString());
        }
    }

    /// <summary>Drops from the transaction what is confirmed or expired.</summary>
    /// <returns>Whether there is room for one more record.</returns>
    public bool MakeRoom(EndpointId endpoint, DocumentTransaction transaction, Document current)
    {
        var left = current.RequestCount;
        if (left == 0) return true;

        foreach (var id in confirmed.Take(endpoint, Confirmations.PerEndpointMax))
        {
            if (transaction.DropRequestRecord(id)) left--;
        }

        var now = time.GetUtcNow().ToUnixTimeMilliseconds();
        if (_heldSince.Count >= GrantsMax) _heldSince.Clear();
        var heldSince = _heldSince.GetOrAdd(transaction.Epoch, now);
        var oldest = now - (long)settings.RecordsExpireAfter.TotalMilliseconds;
        if (heldSince < oldest)
        {
            foreach (var record in current.Requests)
            {
                if (record.AnsweredAtUnixMs < oldest && transaction.DropRequestRecord(record.Id)) left--;
            }
        }
        return left < settings.RecordsMax;
    }

    /// <summary>Records an answer in the transaction.</summary>
    public void Add(DocumentTransaction transaction, string id, ulong fingerprint, HttpResponse response, ReadOnlyMemory<byte> body)
    {
        var type = response.ContentType ?? "";
        var isKept = body.Length <= settings.RecordedBodyBytesMax && type.Length <= Limits.NameBytesMax;
        transaction.AddRequestRecord(new RequestRecord(id, (ushort)response.StatusCode, isKept ? type : NotKept,
            isKept ? body.ToArray() : default, fingerprint, time.GetUtcNow().ToUnixTimeMilliseconds()));
    }

    /// <summary>Answers a repeat with what was recorded.</summary>
    public static async Task ReplayAsync(HttpContext context, RequestRecord record)
    {
        var response = context.Response;
        if (record.ContentType == NotKept)
        {
            await Hosting.Problems.WriteAsync(context, new ShardCloudException(ErrorCodes.AnswerNotRecorded,
                $"The request was carried out and answered with status {record.Status}; its answer was too large to be recorded.",
                "Do not send it again; read the endpoint's state with GET."), record.Status, "Answer not recorded");
            return;
        }
        response.StatusCode = record.Status;
        if (record.ContentType.Length > 0) response.ContentType = record.ContentType;
        if (record.Status is StatusCodes.Status204NoContent or StatusCodes.Status304NotModified or < 200) return;
        response.ContentLength = record.Body.Length;
        await response.Body.WriteAsync(record.Body, context.RequestAborted);
        GrpcCalls.EndReplayed(context);
    }
}

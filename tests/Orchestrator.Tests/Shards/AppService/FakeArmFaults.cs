using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;

namespace ShardCloud.Orchestrator.Tests.Shards.AppService;

/// <summary>What can happen to a call.</summary>
public enum Fault
{
    None,

    /// <summary>429 with Retry-After 1.</summary>
    Throttled,

    /// <summary>429 with Retry-After 3600.</summary>
    ThrottledForAnHour,

    /// <summary>409: another change goes on.</summary>
    Conflict,

    /// <summary>503.</summary>
    Unavailable,

    /// <summary>It takes effect; the connection ends before the answer.</summary>
    LostAnswer,

    /// <summary>No answer at all, and no effect.</summary>
    Silence,

    /// <summary>403.</summary>
    Forbidden,

    /// <summary>400.</summary>
    Refused,

    /// <summary>401 for want of quota, as App Service says it.</summary>
    NoQuota,

    /// <summary>409: the name is somebody else's.</summary>
    NameTaken,

    /// <summary>404.</summary>
    Missing,

    /// <summary>202 with Azure-AsyncOperation: under way at the first look, done at the second.</summary>
    AcceptedWithOperation,

    /// <summary>202 with Location: 202 at the first look, 200 at the second.</summary>
    AcceptedWithLocation,

    /// <summary>202, and not a word of where to look.</summary>
    AcceptedAlone,

    /// <summary>202 with Azure-AsyncOperation that ends with Failed.</summary>
    AcceptedAndFailed,

    /// <summary>202 with Azure-AsyncOperation that is under way for ever.</summary>
    AcceptedForEver,

    /// <summary>202 with an Azure-AsyncOperation at another host.</summary>
    AcceptedElsewhere,

    /// <summary>The answer of success, and nothing has happened.</summary>
    NoEffect,
}

public sealed partial class FakeArm
{
    // Bodies as App Service and Resource Manager word them.
    private static async Task<bool> FailsAsync(HttpContext context, Fault fault)
    {
        (int Status, string Code, string Message)? answer = fault switch
        {
            Fault.Throttled or Fault.ThrottledForAnHour => (429, "429", "Cannot acquire exclusive lock to create, update or delete this site. Retry the request later."),
            Fault.Conflict => (409, "Conflict", "Cannot modify this site because another operation is in progress."),
            Fault.Unavailable => (503, "ServiceUnavailable", "The service is unavailable."),
            Fault.Forbidden => (403, "AuthorizationFailed", "The client does not have authorization to perform action."),
            Fault.Refused => (400, "BadRequest", "The parameter LinuxFxVersion has an invalid value."),
            Fault.NoQuota => (401, "Unauthorized", "Operation cannot be completed without additional quota."),
            Fault.NameTaken => (409, "Conflict", "Website with given name already exists."),
            Fault.Missing => (404, "ResourceGroupNotFound", "Resource group could not be found."),
            _ => null,
        };
        if (fault == Fault.Silence)
        {
            var gone = new TaskCompletionSource();
            await using var registration = context.RequestAborted.Register(gone.SetResult);
            await gone.Task;
            return true;
        }
        if (answer is not { } said) return false;
        if (fault is Fault.Throttled or Fault.ThrottledForAnHour) context.Response.Headers.RetryAfter = fault == Fault.Throttled ? "1" : "3600";
        var body = said.Status is 403 or 404
            ? new JsonObject { ["error"] = new JsonObject { ["code"] = said.Code, ["message"] = said.Message } }
            : new JsonObject { ["Code"] = said.Code, ["Message"] = said.Message };
        await SayAsync(context, said.Status, body);
        return true;
    }

    /// <summary>Answers 202 where the fault is one.</summary>
    private static bool Accepts(HttpContext context, Fault fault)
    {
        if (fault is < Fault.AcceptedWithOperation or > Fault.AcceptedElsewhere) return false;
        var at = $"https://{(fault == Fault.AcceptedElsewhere ? "elsewhere.example" : "management.azure.com")}/subscriptions/{Subscription}/operationresults/{fault}-{Guid.NewGuid():n}";
        context.Response.StatusCode = 202;
        if (fault == Fault.AcceptedWithLocation) context.Response.Headers.Location = at;
        else if (fault != Fault.AcceptedAlone) context.Response.Headers["Azure-AsyncOperation"] = at;
        return true;
    }

    private async Task AnswerLookAsync(HttpContext context, string path)
    {
        Calls.Enqueue("look");
        var isFirst = _looks.AddOrUpdate(path, 1, (_, looks) => looks + 1) == 1;
        var kind = Enum.Parse<Fault>(path[(path.LastIndexOf('/') + 1)..path.LastIndexOf('-')]);
        if (kind == Fault.AcceptedWithLocation)
        {
            await SayAsync(context, isFirst ? 202 : 200, null);
            return;
        }
        var status = isFirst || kind == Fault.AcceptedForEver ? "InProgress" : kind == Fault.AcceptedAndFailed ? "Failed" : "Succeeded";
        var body = new JsonObject { ["status"] = status };
        if (status == "Failed") body["error"] = new JsonObject { ["code"] = "SubnetFull", ["message"] = "The subnet has no address left." };
        await SayAsync(context, 200, body);
    }
}

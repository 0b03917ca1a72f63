using System.Text.Json.Nodes;

namespace ShardCloud.Orchestrator.Shards.AppService;

/// <summary>An answer of Azure Resource Manager: any 2xx, or 404.</summary>
/// <param name="Status">HTTP status.</param>
/// <param name="Body">What it said; null without a body.</param>
/// <param name="Operation">Where the state of what it goes on with is (<c>Azure-AsyncOperation</c>).</param>
/// <param name="Location">Where it answers 202 until it is done.</param>
/// <param name="RetryAfter">How long it asks to wait.</param>
internal sealed record ArmAnswer(int Status, JsonObject? Body, Uri? Operation, Uri? Location, TimeSpan? RetryAfter)
{
    public bool IsMissing => Status == 404;
}

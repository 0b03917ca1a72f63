using System.Text.Json;
using ShardCloud.DurableTask.Execution;

namespace ShardCloud.DurableTask.Tests;

/// <summary>The orchestrators that the vector files describe, in this project's API.</summary>
internal static class VectorOrchestrators
{
    private sealed record Person(string By);

    private sealed record ShardInput(int Shard);

    /// <summary>The code of a file at a turn (from 1): some files change their code between turns.</summary>
    public static OrchestratorRegistry For(VectorFile file, int turn)
    {
        var registry = new OrchestratorRegistry();
        var name = file.OrchestratorName;
        OrchestratorRegistry Code<TInput>(Func<TaskOrchestrationContext, TInput, Task<object?>> run) => registry.AddFunc(name, run);

        return file.Name switch
        {
            "activity-failure-caught" => Code<object?>(async (c, _) =>
            {
                try
                {
                    return await c.CallActivityAsync<object?>("Deploy", "v2");
                }
                catch (TaskFailedException e)
                {
                    return await c.CallActivityAsync<object?>("Rollback", new { type = e.FailureDetails.ErrorType, message = e.FailureDetails.ErrorMessage });
                }
            }),
            "activity-failure-uncaught" => Code<object?>((c, _) => c.CallActivityAsync<object?>("Deploy", "v3")),
            "continue-as-new-buffered-events" => Code<int>(async (c, n) =>
            {
                if (n > 0) return $"gen{n}:{await c.WaitForExternalEvent<string>("Note")}";
                await c.CallActivityAsync("Work", n);
                c.ContinueAsNew(n + 1);
                return null;
            }),
            "continue-as-new-carryover" => Code<int>(async (c, n) =>
            {
                var d = await c.WaitForExternalEvent<int>("Add");
                if (n + d >= 10) return n + d;
                c.ContinueAsNew(n + d);
                return null;
            }),
            "continue-as-new-drop-events" => Code<int>(async (c, n) =>
            {
                if (n > 0) return await c.WaitForExternalEvent<object?>("Note", TimeSpan.FromSeconds(30));
                await c.CallActivityAsync("Work", n);
                c.ContinueAsNew(n + 1, preserveUnprocessedEvents: false);
                return null;
            }),
            "current-utc-datetime" => Code<object?>(async (c, _) =>
            {
                var t0 = c.CurrentUtcDateTime;
                await c.CallActivityAsync("Sleepy");
                var t1 = c.CurrentUtcDateTime;
                await c.CallActivityAsync("Sleepy");
                return new[] { t0, t1, c.CurrentUtcDateTime };
            }),
            "custom-status" => Code<object?>(async (c, _) =>
            {
                c.SetCustomStatus(new { phase = "start" });
                await c.CallActivityAsync("One");
                c.SetCustomStatus("half way");
                await c.CallActivityAsync("Two");
                c.SetCustomStatus(null);
                return 1;
            }),
            "duplicate-completion-ignored" => Code<object?>(async (c, _) =>
                await c.CallActivityAsync<object?>("Two", await c.CallActivityAsync<object?>("One"))),
            "durable-timer" => Code<object?>(async (c, _) =>
            {
                await c.CallActivityAsync("Before");
                await c.CreateTimer(TimeSpan.FromSeconds(90), default);
                return await c.CallActivityAsync<object?>("After");
            }),
            "event-after-wait" => Code<object?>(async (c, _) => "approved by " + (await c.WaitForExternalEvent<Person>("Approval")).By),
            "event-before-wait" => Code<object?>(async (c, _) =>
            {
                await c.CallActivityAsync("Prepare");
                return new[] { await c.WaitForExternalEvent<object?>("Data"), await c.WaitForExternalEvent<object?>("Data") };
            }),
            "event-timeout-event-wins" or "event-timeout-timer-wins" => Code<object?>(async (c, _) =>
            {
                try
                {
                    return "go:" + await c.WaitForExternalEvent<string>("Go", TimeSpan.FromMinutes(10));
                }
                catch (TaskCanceledException)
                {
                    return "timeout";
                }
            }),
            "event-waiters-lifo" => Code<object?>(async (c, _) =>
                await Task.WhenAll(c.WaitForExternalEvent<string>("Tick"), c.WaitForExternalEvent<string>("Tick"))),
            "fan-out-five" => Code<string[]>(async (c, items) =>
            {
                var results = await Task.WhenAll(items.Select(s => c.CallActivityAsync<int>("Measure", s)));
                return new { results, sum = results.Sum() };
            }),
            "long-timer-split" => Code<object?>(async (c, _) =>
            {
                await c.CreateTimer(c.CurrentUtcDateTime.AddDays(7), default);
                return "a week later";
            }),
            "many-events-one-batch" => Code<object?>(async (c, _) =>
            {
                var a = c.CallActivityAsync("A");
                var w = c.WaitForExternalEvent<object?>("E");
                var t = c.CreateTimer(TimeSpan.FromSeconds(30), default);
                List<string> log = [];
                await a;
                log.Add("a");
                await w;
                log.Add("e");
                await t;
                log.Add("t");
                return await c.CallActivityAsync<object?>("Last", log);
            }),
            "new-guid" => Code<object?>(async (c, _) =>
            {
                var (g0, g1) = (c.NewGuid(), c.NewGuid());
                await c.CallActivityAsync("Use", new[] { g0, g1 });
                return new[] { g0, g1, c.NewGuid() };
            }),
            "nondeterminism-missing-action" => Code<object?>(async (c, _) =>
            {
                if (turn == 1) await c.CallActivityAsync("Alpha");
                else await c.WaitForExternalEvent<object?>("X");
                return 1;
            }),
            "nondeterminism-other-kind" => Code<object?>(async (c, _) =>
            {
                if (turn == 1) await c.CallActivityAsync("Alpha");
                else await c.CreateTimer(TimeSpan.FromHours(1), default);
                return 1;
            }),
            "nondeterminism-renamed-activity" => Code<object?>(async (c, _) =>
            {
                await c.CallActivityAsync(turn == 1 ? "Alpha" : "Beta");
                return 1;
            }),
            "null-and-unicode-payloads" => Code<object?>(async (c, _) =>
            {
                var a = await c.CallActivityAsync<object?>("Nothing");
                var b = await c.CallActivityAsync<JsonElement>(
                    "Echo", new Dictionary<string, object?> { ["text"] = "Zürich – 東京 <&'>", ["n"] = 12.5, ["none"] = null, ["flag"] = true });
                return new Dictionary<string, object?> { ["a"] = a, ["b"] = b };
            }),
            "orchestrator-throws" => Code<object?>(async (c, _) =>
            {
                await c.CallActivityAsync("Load");
                throw new InvalidOperationException("bad state 42", new ArgumentException("inner cause"));
            }),
            "retry-exhausted" => Code<object?>((c, _) => c.CallActivityAsync<object?>(
                "Flaky", 8, TaskOptions.FromRetryPolicy(new RetryPolicy(3, TimeSpan.FromSeconds(5), 2)))),
            "retry-max-interval" => Code<object?>((c, _) => c.CallActivityAsync<object?>(
                "Slow", "s", TaskOptions.FromRetryPolicy(new RetryPolicy(5, TimeSpan.FromSeconds(10), 3, TimeSpan.FromSeconds(60))))),
            "retry-non-retriable" => Code<object?>(async (c, _) =>
            {
                try
                {
                    return await c.CallActivityAsync<object?>("Flaky", 9, TaskOptions.FromRetryPolicy(new RetryPolicy(5, TimeSpan.FromSeconds(2))));
                }
                catch (TaskFailedException e)
                {
                    return "gave up: " + e.FailureDetails.ErrorMessage;
                }
            }),
            "retry-succeeds-third-attempt" => Code<object?>((c, _) => c.CallActivityAsync<object?>(
                "Flaky", 7, TaskOptions.FromRetryPolicy(new RetryPolicy(3, TimeSpan.FromSeconds(5), 2)))),
            "send-event" => Code<object?>(async (c, _) =>
            {
                c.SendEvent("worker-77", "Wake", new { at = 5 });
                return await c.CallActivityAsync<object?>("After");
            }),
            "sequence-three-activities" => Code<int>(async (c, input) =>
            {
                var a = await c.CallActivityAsync<int>("Add", new { x = input, y = 1 });
                var b = await c.CallActivityAsync<int>("Add", new { x = a, y = 10 });
                return await c.CallActivityAsync<int>("Add", new { x = b, y = 100 });
            }),
            "single-activity" => Code<string>((c, input) => c.CallActivityAsync<object?>("SayHello", input)),
            "suborchestration-auto-id" => Code<object?>(async (c, _) => await Task.WhenAll(
                c.CallSubOrchestratorAsync<object?>("Child", "a"), c.CallSubOrchestratorAsync<object?>("Child", "b"))),
            "suborchestration-child-view" => Code<ShardInput>(async (c, input) =>
            {
                await c.CallActivityAsync("Drain", input.Shard);
                return true;
            }),
            "suborchestration-failure-caught" => Code<object?>(async (c, _) =>
            {
                try
                {
                    return await c.CallSubOrchestratorAsync<object?>("MoveShard", 13, new SubOrchestrationOptions(InstanceId: "move-13"));
                }
                catch (TaskFailedException e)
                {
                    return e.FailureDetails.ErrorType + "|" + e.FailureDetails.ErrorMessage;
                }
            }),
            "suborchestration-failure-uncaught" => Code<object?>(async (c, _) =>
            {
                await c.CallSubOrchestratorAsync("MoveShard", 14, new SubOrchestrationOptions(InstanceId: "move-14"));
                return "never";
            }),
            "suborchestration-success" => Code<object?>(async (c, _) => new
            {
                moved = await c.CallSubOrchestratorAsync<object?>("MoveShard", new { shard = 12 }, new SubOrchestrationOptions(InstanceId: "move-12")),
            }),
            "suspend-same-batch" or "suspend-then-resume" => Code<object?>(async (c, _) =>
                await c.CallActivityAsync<object?>("StepB", await c.CallActivityAsync<object?>("StepA"))),
            "terminate" => Code<object?>(async (c, _) =>
            {
                await c.CallActivityAsync("Forever");
                return "never";
            }),
            "whenany-uncancelled-timer" => Code<object?>(async (c, _) =>
            {
                var timer = c.CreateTimer(TimeSpan.FromMinutes(2), default);
                var activity = c.CallActivityAsync("Fast");
                return await Task.WhenAny(activity, timer) == activity ? "activity" : "timer";
            }),
            _ => throw new InvalidOperationException($"No code is written for the vector file '{file.Name}'."),
        };
    }
}

using System.Runtime.CompilerServices;
using ShardCloud.Crdt;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime.Tests.State;

/// <summary>The examples of docs/state.md compile, run, and are these.</summary>
public sealed class StateDocsTests
{
    [Fact]
    public void Examples_OfTheDocs_RunAndCommit()
    {
        var transaction = new DocumentTransaction(Document.Empty, new Epoch(1), 1);
        Examples(new EndpointState(new EndpointId("rooms/1"), transaction), DateTimeOffset.UnixEpoch);
        transaction.Commit(out var document, out _);

        var fields = document.Fields;
        Assert.Equal((-2, 2, 40), (fields.Counter("visits"), fields.GrowCounter("sold"), fields.BoundedCounter("seats")));
        Assert.Equal((1, 0, 1, 1), (fields.Set("members").Count, fields.RemoveWinsSet("allowed").Count, fields.List("chat").Count, fields.ExpiringMap("typing").Count));
        Assert.Equal((true, false, "tea"), (fields.Flag("open"), fields.DisableWinsFlag("admin"), fields.Register("topic").AsString()));
        Assert.Equal(1, fields.Map("users").Map("anna").Counter("logins"));
    }

    [Fact]
    public void Examples_OfTheDocs_AreTheOnesThatRunHere()
    {
        var here = Source();
        var docs = File.ReadAllText(Path.Combine(Path.GetDirectoryName(here)!, "../../../docs/state.md"));
        var shown = docs.Split("```csharp")[1].Split("```")[0].Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        var run = File.ReadAllLines(here).Select(line => line.Trim()).ToHashSet();
        Assert.All(shown, line => Assert.Contains(line, run));
        Assert.InRange(shown.Length, 40, 80);
    }

    private static string Source([CallerFilePath] string path = "") => path;

    private static void Examples(EndpointState state, DateTimeOffset now)
    {
        // Counter
        var visits = state.Counter("visits");
        visits.Increment();
        visits.Add(-3);

        // Grow-only counter
        var sold = state.GrowCounter("sold");
        sold.Add(2);
        var total = sold.Value;

        // Bounded counter: the check and the change are one step
        var seats = state.BoundedCounter("seats", floor: 0, ceiling: 40);
        seats.Add(40);
        if (!seats.TryAdd(1)) total = seats.Value;

        // Set
        var members = state.Set("members");
        members.Add("anna");
        var isMember = members.Contains("anna");

        // Remove-wins set
        var allowed = state.RemoveWinsSet("allowed");
        allowed.Add("bert");
        allowed.Remove("bert");

        // Register, typed or not
        var topic = state.Register<string>("topic");
        topic.Set("tea");
        var untyped = state.Register("topic").Value.AsString();

        // Multi-value register: all writes that no other one has seen
        var plan = state.MultiValueRegister("plan");
        plan.Set("a");
        var plans = plan.Values;

        // Flags
        var open = state.Flag("open");
        open.Enable();
        state.DisableWinsFlag("admin").Disable();

        // List: appends at the end, keeps the last 100
        var chat = state.List("chat");
        chat.Append("hello");
        chat.TrimTo(100);

        // Expiring map: the owner removes what is past its deadline, by its own clock
        var typing = state.ExpiringMap("typing");
        typing.Set("anna", true, now.AddSeconds(5));
        typing.RemoveExpired(now);

        // Map, nested: the delta holds the one field that changed
        var profile = state.Map("users").Map("anna");
        profile.Register("name").Set("Anna");
        profile.Counter("logins").Increment();
    }

    /// <summary>A reader's handler gets the same handles; each write is refused.</summary>
    [Fact]
    public void ReadOnly_Write_ThrowsSC3005WithTheMethodAndTheEndpoint()
    {
        var state = EndpointState.ReadOnly(new EndpointId("rooms/1"), Document.Empty, "GET");
        var error = Assert.Throws<ShardCloudException>(() => state.List("chat").Append("x"));
        Assert.Equal("SC3005", error.Code);
        Assert.Contains("A GET request tried to change endpoint 'rooms/1'", error.Message);
        Assert.Equal(0, state.List("chat").Count);
    }
}

using CsCheck;
using ShardCloud.Routing;

namespace ShardCloud.Replication.Tests;

public class ConvergentPropertyTests
{
    private static readonly TemplateTable Templates = new([new TemplateSpec("/likes/{page}", Mode.Convergent)]);
    private static readonly EndpointId[] Pages = [.. Enumerable.Range(0, 4).Select(i => new EndpointId($"likes/{i}"))];

    private static readonly GrantCoverage[] Coverages =
    [
        GrantCoverage.OfSlots(SlotRange.All),
        GrantCoverage.OfEndpoints(Pages[0]),
        GrantCoverage.OfEndpoints(Pages[1], Pages[2]),
        new GrantCoverage([new SlotCover(SlotRange.All, [Pages[0].KeyHash])], []),
    ];

    // Method: a random history on three members that overlap as they like: grants of any coverage to any of them, handoffs, writes on every side, Retires,
    // late landings, lost acks, readers that stand anywhere and snapshots of them. Nobody hears of anybody's grant but through the log.
    // Then: every write that was committed is there once; all readers agree, whatever prefix they started from; and whoever still serves, serves exactly that.
    [Fact]
    public async Task History_OfOverlappingOwners_KeepsEveryWriteAndAllReadersAgree() =>
        await Gen.Select(Gen.Int, Gen.Int[0, 2]).SampleAsync((seed, ack) => RunAsync(new Random(seed), ((AckMode[])[AckMode.Log, AckMode.Lease, AckMode.Memory])[ack]), iter: 150);

    /// <summary>A history in which an owner opens a page whose epoch the log has closed and a later one has folded: it does not serve it.</summary>
    [Fact]
    public async Task History_OfAnOwnerWhoseEpochIsFolded_KeepsItToo() => Assert.True(await RunAsync(new Random(60746840), AckMode.Lease));

    private static async Task<bool> RunAsync(Random random, AckMode ack)
    {
        var world = new World(ack: ack, templates: Templates);
        Node[] nodes = [world.Start("s"), world.Start("d"), world.Start("e")];
        var (epoch, item, snapshots, writes) = (1L, 0, new List<PartitionSnapshot>(), new List<(EndpointId Page, string Item)>());
        nodes[0].TakeOver(epoch);
        for (var step = 0; step < 80; step++)
        {
            var node = nodes[random.Next(nodes.Length)];
            node.LeaseValid = random.Next(2) == 0;
            switch (random.Next(12))
            {
                case 0:
                    node.TakeOver(++epoch, Coverages[random.Next(Coverages.Length)]);
                    break;
                case 1: // A handoff of all that somebody holds alone.
                    var from = nodes[random.Next(nodes.Length)];
                    if (from == node || from.Replica.EpochOf(Pages[3]) is var held && from.Tenure.Holdings is not [{ IsSettled: true }] || from.Tenure.Holdings[0].Coverage != Coverages[0] || held != from.Tenure.Holdings[0].Epoch) break;
                    if (Pages.Any(page => from.Replica.EpochOf(page) != held)) break;
                    var final = from.Seal(++epoch, node.Replica.Position);
                    node.Receive(++epoch, final);
                    if (random.Next(2) == 0) from.Tenure.End(Coverages[0], TenureEndReason.Asked, "map");
                    break;
                case 2 when node.Tenure.Holdings.Count > 0: // It hears that it has lost some of it, or all.
                    if (random.Next(2) == 0) node.Tenure.Leave("fenced");
                    else node.Tenure.Retire(node.Tenure.Holdings[0].Epoch, node.Self, Coverages[random.Next(Coverages.Length)]);
                    break;
                case 3 or 4 when node.Travelling > 0:
                    node.Land()();
                    break;
                case 5 when node.Travelling > 0:
                    var acknowledged = node.Land();
                    node.Read();
                    acknowledged();
                    break;
                case 6 or 7:
                    node.Read(random.Next(1, 5));
                    break;
                case 8:
                    var stream = new MemoryStream();
                    await node.Replica.Capture().WriteAsync(stream);
                    stream.Position = 0;
                    snapshots.Add(await PartitionSnapshot.ReadAsync(stream));
                    break;
                default:
                    var page = Pages[random.Next(Pages.Length)];
                    if (node.Open(page) is not { } state) break;
                    var name = $"i{item++}";
                    if (node.Commit(state, t => { t.Set("items").Add(name); t.Counter("n").Increment(); }) == CommitOutcome.Committed) writes.Add((page, name));
                    break;
            }
        }

        // What is ahead travels on, and so does the Retire that waits for it.
        do
        {
            foreach (var node in nodes) node.LandAll();
            foreach (var node in nodes) node.Read();
        }
        while (nodes.Any(node => node.Travelling > 0));
        var truth = world.ReadAll();
        Assert.True(truth.IsComplete, "a gap in the log");
        foreach (var page in Pages)
        {
            var written = writes.Where(w => w.Page == page).Select(w => w.Item).ToList();
            var fields = truth.Accepted(page).Fields;
            Assert.True(written.All(w => fields.Set("items").Contains(w)), $"{page} lacks {string.Join(' ', written.Where(w => !fields.Set("items").Contains(w)))}");
            Assert.Equal(written.Count, fields.Counter("n"));
            foreach (var replica in nodes.Select(n => n.Replica).Concat(snapshots.Select(s => world.ReadAll(s))))
                Assert.True(truth.Accepted(page).SameAs(replica.Accepted(page)), $"readers differ on {page}");
            foreach (var open in nodes.Select(n => n.Open(page)).OfType<OwnedState>())
                Assert.True(truth.Accepted(page).SameAs(open.Current), $"an owner serves another {page} than the log holds");
        }
        return true;
    }
}

using ShardCloud.Crdt;
using ShardCloud.ShardRuntime.Sockets.Connections;

namespace ShardCloud.ShardRuntime.Tests.Sockets;

/// <summary>What a chat message costs in the log and in memory; bench/Micro times the same.</summary>
public sealed class ConnectionCostTests
{
    private const int Connections = 10, Rounds = 200;

    private readonly Dictionary<string, long> _confirmed = [];
    private Document _document = Document.Empty;
    private long _next = 1, _number;

    [Fact]
    public void Broadcast_OfFortyBytes_CostsAboutAHundredMoreInTheLog_HoweverManyListen()
    {
        for (var i = 0; i < Connections; i++) Commit(work => work.TryOpen($"{i:D22}", new string('v', 43), false, false, "/rooms/{room}/ws"));
        for (var i = 0; i < Rounds; i++) Message();
        var before = GC.GetAllocatedBytesForCurrentThread();
        var size = 0;
        for (var i = 0; i < Rounds; i++) size = Math.Max(size, Message().EncodedSize);
        var allocated = (GC.GetAllocatedBytesForCurrentThread() - before) / Rounds;

        Assert.InRange(size, 100, 145);
        Assert.InRange(_document.EncodedSize, 500, 2_000); // What all have confirmed is gone.
        Assert.InRange(allocated, 1_000, 9_000);
    }

    private Delta Message()
    {
        var delta = Commit(work =>
        {
            Assert.Equal(InVerdict.Run, work.Take("0000000000000000000000", ++_number));
            Assert.Equal(Connections, work.Send("forty bytes of chat are about this long.", static _ => true));
        });
        for (var i = 0; i < Connections; i++) _confirmed[$"{i:D22}"] = _number;
        return delta;
    }

    private Delta Commit(Action<ConnectionWork> change)
    {
        var transaction = new DocumentTransaction(_document, new Epoch(1), _next);
        change(new ConnectionWork(transaction, id => _confirmed.GetValueOrDefault(id)));
        return transaction.Commit(out _document, out _next);
    }
}

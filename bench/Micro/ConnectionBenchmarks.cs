using BenchmarkDotNet.Attributes;
using ShardCloud.Crdt;
using ShardCloud.ShardRuntime;
using ShardCloud.ShardRuntime.Sockets.Connections;
using ShardCloud.ShardRuntime.Sockets.Owner;

namespace ShardCloud.Bench.Micro;

/// <summary>Question: what does a chat message of 40 bytes cost its room's owner as the room grows, apart from sockets and the log? Every client has confirmed what it was sent.</summary>
public class ConnectionBenchmarks
{
    private readonly string[] _ids = new string[1_000];
    private readonly Dictionary<string, long> _confirmed = [];
    private readonly OutWindow _window = new(int.MaxValue, int.MaxValue);
    private readonly SocketMessage _message = "forty bytes of chat are about this long";
    private Document _document = Document.Empty;
    private long _next = 1, _in, _out;

    /// <summary>Connections of the room.</summary>
    [Params(1, 10, 100, 1_000)]
    public int Connections { get; set; }

    /// <summary>Opens the connections.</summary>
    [GlobalSetup]
    public void Setup()
    {
        for (var i = 0; i < Connections; i++)
        {
            _ids[i] = $"{i:D22}";
            Commit(work => work.TryOpen(_ids[i], new string('v', 43), wasAttached: false, hasToken: false, "/rooms/{room}/ws"));
        }
        Console.WriteLine($"// {Connections} connections: delta {Message().EncodedSize} B, then {Message().EncodedSize} B; document {_document.EncodedSize} B");
    }

    /// <summary>A message in and its broadcast, as one change; what was confirmed is dropped.</summary>
    [Benchmark]
    public Delta Message()
    {
        var delta = Commit(work =>
        {
            if (work.Take(_ids[0], ++_in) is not InVerdict.Run) throw new InvalidOperationException("not in order");
            work.Send(_message, static _ => true);
        });
        _out++;
        foreach (var id in _ids.AsSpan(0, Connections)) _confirmed[id] = _out;
        return delta;
    }

    /// <summary>Showing the document to one leg, with one message for it.</summary>
    [Benchmark]
    public long Show()
    {
        var (shown, view) = (0L, new LegView(_out - 1, _in));
        view.Show(ConnectionTable.Find(_document.Fields, _ids[0])!, [.. ConnectionTable.Sends(_document.Fields)], _window, (_, number, _) => shown = number);
        _window.Confirm(shown);
        return shown;
    }

    private Delta Commit(Action<ConnectionWork> change)
    {
        var transaction = new DocumentTransaction(_document, new Epoch(1), _next);
        change(new ConnectionWork(transaction, id => _confirmed.GetValueOrDefault(id)));
        return transaction.Commit(out _document, out _next);
    }
}

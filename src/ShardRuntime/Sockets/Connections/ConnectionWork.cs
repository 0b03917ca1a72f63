using System.Collections;
using ShardCloud.Crdt;
using ShardCloud.ShardRuntime.Sockets.Legs;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime.Sockets.Connections;

/// <summary>What to do with a message in.</summary>
internal enum InVerdict
{
    /// <summary>It is the next one: run it.</summary>
    Run,

    /// <summary>Its effects are in the document: confirm, do not run.</summary>
    Seen,

    /// <summary>The connection is over, or about to be.</summary>
    Closed,
}

/// <summary>How the opening of a connection went.</summary>
internal enum OpenVerdict
{
    /// <summary>It is new.</summary>
    Opened,

    /// <summary>It is there: go on.</summary>
    Resumed,

    /// <summary>Another secret: not its client.</summary>
    Refused,

    /// <summary>It was attached before and is not here: it was closed, and stays so.</summary>
    Over,
}

/// <summary>Changes of one document's connections within one unit of work. Pure: what it does follows from the document and from what the connections have confirmed.</summary>
/// <remarks>
/// One sequence of out-numbers an endpoint: the next is one above the last queued message, which is therefore never dropped while a connection is left. A message
/// names its targets as of when it was sent, so a later subscription or opening changes nothing of it. It is dropped with a later change once all have confirmed it.
/// </remarks>
internal sealed class ConnectionWork
{
    private readonly DocumentTransaction _transaction;
    private readonly Func<string, long> _confirmed;
    private readonly Dictionary<string, ConnectionRow> _rows;
    private readonly List<QueuedSend> _sends;
    private int _ownBytes;

    /// <param name="transaction">The unit of work.</param>
    /// <param name="confirmed">Highest out-number that a connection has confirmed, as far as this owner knows; 0 at least.</param>
    public ConnectionWork(DocumentTransaction transaction, Func<string, long> confirmed)
    {
        (_transaction, _confirmed) = (transaction, confirmed);
        _rows = ConnectionTable.Connections(transaction.Fields).ToDictionary(row => row.Id, StringComparer.Ordinal);
        _sends = [.. ConnectionTable.Sends(transaction.Fields)];
    }

    /// <summary>Something was changed that legs must hear of.</summary>
    public bool IsChanged { get; private set; }

    /// <summary>Messages that the document holds.</summary>
    public int SendCount => _sends.Count;

    /// <summary>The open ones.</summary>
    public IEnumerable<ConnectionRow> Open => _rows.Values.Where(row => row.End is null);

    /// <summary>Connections that were closed here because they were too far behind.</summary>
    public int TooSlow { get; private set; }

    private long LastOut => _sends.Count > 0 ? _sends[^1].Number : 0;

    /// <summary>One of them; null: none.</summary>
    public ConnectionRow? Find(string id) => _rows.GetValueOrDefault(id);

    /// <summary>Opens a connection, or finds it.</summary>
    /// <exception cref="ShardCloudException">SC4033: too many.</exception>
    public OpenVerdict TryOpen(string id, string verifier, bool wasAttached, bool hasToken, string route)
    {
        if (_rows.TryGetValue(id, out var known)) return known.Verifier == verifier ? OpenVerdict.Resumed : OpenVerdict.Refused;
        if (wasAttached) return OpenVerdict.Over;
        if (_rows.Count >= ConnectionLimits.ConnectionsMax) throw ConnectionErrors.TooMany(_rows.Count);
        var used = _rows.Values.Select(row => row.Seat).ToHashSet();
        var seat = 0;
        while (used.Contains(seat)) seat++;
        var row = _rows[id] = ConnectionRow.New(id, seat, LastOut, hasToken, verifier, route);
        Map(id).Register(ConnectionRow.HeadField).Set(Value.Of(row.Head.Span));
        IsChanged = true;
        return OpenVerdict.Opened;
    }

    /// <summary>Takes a message's number in; its effects go into the same unit of work.</summary>
    /// <exception cref="InvalidDataException">A number was left out: the carrier is broken.</exception>
    public InVerdict Take(string id, long number)
    {
        if (!_rows.TryGetValue(id, out var row) || row.End is not null) return InVerdict.Closed;
        if (number <= row.In) return InVerdict.Seen;
        if (number != row.In + 1) throw new InvalidDataException($"Message {number} came after {row.In}.");
        _rows[id] = row with { In = number };
        Map(id).Register(ConnectionRow.InField).Set(number);
        IsChanged = true;
        Trim();
        return InVerdict.Run;
    }

    /// <summary>Queues a message for some of the open connections.</summary>
    /// <returns>For how many.</returns>
    /// <exception cref="ShardCloudException">SC4034: the messages of this change alone are over the bound.</exception>
    public int Send(SocketMessage message, Func<ConnectionRow, bool> to)
    {
        var targets = Open.Where(to).ToList();
        if (targets.Count == 0) return 0;
        BitArray? bits = null;
        if (targets.Count < Open.Count())
        {
            bits = new BitArray(targets.Max(row => row.Seat) + 1);
            foreach (var row in targets) bits[row.Seat] = true;
        }
        var number = LastOut + 1;
        var bytes = QueuedSend.Bytes(number, message.IsText, bits, message.Bytes.Span);
        _ownBytes += bytes.Length;
        if (_ownBytes > ConnectionLimits.SendBytesMax) throw ConnectionErrors.TooMuchSent(_ownBytes);
        var list = _transaction.List(SystemFields.Sends);
        list.Append(bytes);
        var (position, value) = list.Current.Positions.Last();
        _sends.Add(QueuedSend.Of(position, value));
        IsChanged = true;
        Trim();
        while ((_sends.Count > ConnectionLimits.SendsMax || _sends.Sum(s => s.Weight) > ConnectionLimits.SendBytesMax) && CloseSlowest()) Trim();
        return targets.Count;
    }

    /// <summary>Ends a connection behind what was sent to it.</summary>
    public void Close(string id, int code, string reason) => SetEnd(id, new ConnectionEnd(LastOut, code, reason));

    /// <summary>Ends a connection now: what is queued for it is given up.</summary>
    public void End(string id, int code, string reason) => SetEnd(id, new ConnectionEnd(0, code, reason));

    /// <summary>Forgets a connection.</summary>
    public void Remove(string id)
    {
        if (!_rows.Remove(id)) return;
        _transaction.Map(SystemFields.Connections).Remove(id);
        IsChanged = true;
        Trim();
    }

    /// <summary>A connection's own map, for its record and topics.</summary>
    public MapHandle Map(string id) => _transaction.Map(SystemFields.Connections).Map(id);

    private void SetEnd(string id, ConnectionEnd end)
    {
        if (!_rows.TryGetValue(id, out var row)) return;
        _rows[id] = row with { End = end };
        Map(id).Register(ConnectionRow.EndField).Set(ConnectionRow.Bytes(end));
        IsChanged = true;
    }

    /// <summary>Drops what nobody needs any more. The last message stays while there is a connection: its number is the sequence's memory.</summary>
    private void Trim()
    {
        if (_sends.Count == 0) return;
        var list = _transaction.List(SystemFields.Sends);
        var last = _rows.Count > 0 ? _sends[^1].Number : long.MaxValue;
        _sends.RemoveAll(send =>
        {
            if (send.Number == last || IsHeld(send)) return false;
            list.Remove(send.Position);
            return true;
        });
    }

    private bool IsHeld(QueuedSend send)
    {
        foreach (var row in _rows.Values)
        {
            if (send.IsFor(row) && send.Number > _confirmed(row.Id)) return true;
        }
        return false;
    }

    /// <summary>The policy past the bound: who holds the oldest message back is closed, and what was queued for it is given up.</summary>
    private bool CloseSlowest()
    {
        foreach (var send in _sends)
        {
            var slowest = _rows.Values.Where(row => send.IsFor(row) && send.Number > _confirmed(row.Id)).MinBy(row => _confirmed(row.Id));
            if (slowest is null) continue;
            SetEnd(slowest.Id, new ConnectionEnd(0, CloseCodes.PolicyViolation, "too slow"));
            TooSlow++;
            return true;
        }
        return false;
    }
}

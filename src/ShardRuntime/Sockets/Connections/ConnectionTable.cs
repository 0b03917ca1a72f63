using ShardCloud.Crdt;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime.Sockets.Connections;

/// <summary>Connections and queued messages of one document, to read.</summary>
internal static class ConnectionTable
{
    /// <summary>True when there is a connection, open or about to close.</summary>
    public static bool HasAny(OrMap fields) => fields.Map(SystemFields.Connections).Count > 0;

    /// <summary>All of them, by id.</summary>
    public static List<ConnectionRow> Connections(OrMap fields)
    {
        var map = fields.Map(SystemFields.Connections);
        List<ConnectionRow> rows = [];
        if (map.Count == 0) return rows;
        foreach (var id in map.Keys)
        {
            if (ConnectionRow.Of(id, map.Map(id)) is { } row) rows.Add(row);
        }
        return rows;
    }

    /// <summary>One of them; null when there is none of this id.</summary>
    public static ConnectionRow? Find(OrMap fields, string id) => ConnectionRow.Of(id, fields.Map(SystemFields.Connections).Map(id));

    /// <summary>The queued messages, by number.</summary>
    public static IEnumerable<QueuedSend> Sends(OrMap fields) => fields.List(SystemFields.Sends).Positions.Select(item => QueuedSend.Of(item.Position, item.Value));
}

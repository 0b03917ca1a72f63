using System.Text.Json;
using ShardCloud.ShardRuntime;

/// <summary>What is said in a room: <c>n</c> counts the room's messages; a sender's <c>tag</c> comes back with it.</summary>
internal sealed record ChatMessage(long N, string Text, string? Tag, string? Shard, string? Version, bool Welcome);

/// <summary>A chat for each room. A message runs as a change of the room: its number, and that everybody in the room gets it, count together, and once.</summary>
internal static class Chat
{
    public static void MapChat(this RouteGroupBuilder room) => room.MapShardSocket("/ws", new ShardSocket { Opened = Opened, Message = Said });

    private static ValueTask Opened(ShardConnection connection)
    {
        connection.Send(Write(connection, new ChatMessage(connection.State.Counter("messages").Value, "welcome", null, null, null, Welcome: true)));
        return ValueTask.CompletedTask;
    }

    private static ValueTask Said(ShardConnection connection, SocketMessage message)
    {
        if (Read(message) is { } said)
        {
            var number = connection.State.Counter("messages");
            number.Increment();
            connection.State.Broadcast(Write(connection, said with { N = number.Value, Welcome = false }));
        }
        else
        {
            connection.Close(4000, "not a message of this chat");
        }
        return ValueTask.CompletedTask;
    }

    private static string Write(ShardConnection connection, ChatMessage message)
    {
        var shard = connection.HttpContext.Shard();
        return JsonSerializer.Serialize(message with { Shard = shard.Id.Value, Version = shard.Version }, RoomsJson.Default.ChatMessage);
    }

    private static ChatMessage? Read(SocketMessage message)
    {
        try
        {
            return JsonSerializer.Deserialize(message.Bytes.Span, RoomsJson.Default.ChatMessage);
        }
        catch (JsonException)
        {
            return null;
        }
    }
}

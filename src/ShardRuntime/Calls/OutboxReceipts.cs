using System.Globalization;
using ShardCloud.Crdt;
using ShardCloud.ShardRuntime.Requests;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime.Calls;

/// <summary>Name of an outbox message between members: <c>o:</c>, a hash of the sending endpoint, and the message's number.</summary>
internal readonly record struct OutboxId(string Sender, Dot Number)
{
    public const string Prefix = "o:";

    public static OutboxId Of(EndpointId sender, Dot number) => new(RequestIds.HashOf(sender.Value), number);

    /// <summary>Null for any other request's id.</summary>
    public static OutboxId? From(string id) =>
        id.StartsWith(Prefix, StringComparison.Ordinal) && id.Split(':') is [_, var sender, var number] && TryNumber(number, out var dot) ? new OutboxId(sender, dot) : null;

    public static bool TryNumber(string text, out Dot number)
    {
        number = default;
        if (text.IndexOf('.') is not (> 0 and var point)) return false;
        if (!long.TryParse(text.AsSpan(0, point), NumberStyles.None, CultureInfo.InvariantCulture, out var epoch) || !long.TryParse(text.AsSpan(point + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var sequence)) return false;
        number = new Dot(new Epoch(epoch), sequence);
        return true;
    }

    public override string ToString() => $"{Prefix}{Sender}:{Number}";
}

/// <summary>The receiver's side: the highest number of each sending endpoint, in the receiving endpoint's document, written in the same delta as what the message changed.</summary>
/// <remarks>
/// A sender sends in order and goes on only when a message was answered, so what is not above its highest number was carried out. That does not expire: a receipt is
/// dropped only to make room for another sender's, and only twice the time after its last message for which a sender repeats one, so that no repeat can
/// be on its way. With no such receipt to drop the new sender's message is refused (SC4018), and repeated.
/// </remarks>
internal static class OutboxReceipts
{
    /// <summary>True when the message was carried out before.</summary>
    public static bool Has(OrMap fields, OutboxId message) =>
        fields.ExpiringMap(SystemFields.Receipts).Find(message.Sender) is { } receipt && OutboxId.TryNumber(receipt.Value.AsString(), out var highest) && message.Number.CompareTo(highest) <= 0;

    /// <summary>Makes room for the receipt. False: there is none.</summary>
    public static bool MakeRoom(DocumentTransaction transaction, OutboxId message, OutboxSettings settings, DateTimeOffset now)
    {
        var receipts = transaction.ExpiringMap(SystemFields.Receipts);
        if (receipts.Current.Find(message.Sender) is not null || receipts.Current.Count < settings.SendersMax) return true;
        return receipts.RemoveExpired(now) > 0;
    }

    /// <summary>Records that the message was carried out.</summary>
    public static void Add(DocumentTransaction transaction, OutboxId message, OutboxSettings settings, DateTimeOffset now) =>
        transaction.ExpiringMap(SystemFields.Receipts).Set(message.Sender, message.Number.ToString(), now + (settings.RepeatFor * 2));
}

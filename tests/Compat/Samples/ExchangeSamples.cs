using ShardCloud.Replication;

namespace ShardCloud.Compat.Tests.Samples;

/// <summary>An exchange, message by message (docs/protocol/repair.md): the asker lacks an endpoint and takes the answerer's state.</summary>
internal static class ExchangeSamples
{
    private const long Salt = 4711;

    public static IEnumerable<Sample> All()
    {
        var answerers = LogSamples.Partition();
        yield return Dialogue("members/exchange-adopt", ExchangeMode.Adopt, answerers, LogSamples.Partition(answerers.Endpoints[1].Endpoint));
        yield return Dialogue("members/exchange-join", ExchangeMode.Join, answerers, LogSamples.Partition(answerers.Endpoints[1].Endpoint));
    }

    // Read: the released side's words are played to both of today's, and each must say what the release said in its place.
    private static Sample Dialogue(string name, ExchangeMode mode, PartitionSnapshot answerers, PartitionSnapshot askers) => Sample.OfText(
        name,
        () => string.Join(' ', Talk(mode, answerers, askers, released: null)),
        line => Talk(mode, answerers, askers, line.Split(' ')));

    private static List<string> Talk(ExchangeMode mode, PartitionSnapshot answerers, PartitionSnapshot askers, string[]? released)
    {
        var asker = new ExchangeAsker(mode, Salt, askers.Position, askers.LogIdentity);
        ExchangeAnswerer? answerer = null;
        var words = new List<string>();
        while (asker.Next() is { } message)
        {
            words.Add(Convert.ToHexStringLower(message));
            var heard = Heard(message);
            if (answerer is null)
            {
                var open = ExchangeAnswerer.ReadOpen(heard);
                answerer = new ExchangeAnswerer(answerers, open.Mode, open.Salt);
            }
            var answer = answerer.Answer(heard);
            words.Add(Convert.ToHexStringLower(answer));
            var isFirst = words.Count == 2;
            asker.Receive(Heard(answer));
            if (isFirst) asker.Compare(askers);
        }
        words.Add($"taken:{string.Join(',', asker.Taken.Select(taken => taken.Endpoint.Value))}");
        return words;

        byte[] Heard(byte[] said) => released is not null && words.Count <= released.Length - 1 ? Convert.FromHexString(released[words.Count - 1]) : said;
    }
}

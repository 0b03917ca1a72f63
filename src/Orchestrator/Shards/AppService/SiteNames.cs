using System.Security.Cryptography;
using System.Text;

namespace ShardCloud.Orchestrator.Shards.AppService;

/// <summary>Names of sites: the same operation gives the same name, and no two applications or operations share one.</summary>
/// <remarks>App Service: 2 to 60 of letters, digits and '-', neither first nor last a '-', unique in the world (https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules).</remarks>
internal static class SiteNames
{
    private const int ShardLettersMax = 20, HashLetters = 14; // 70 bits: a prefix of 20 and two hyphens leave 56 in all.

    private const string Letters = "abcdefghijklmnopqrstuvwxyz234567"; // RFC 4648, 6, in lower case.

    /// <summary><c>{prefix}-{shard}-{hash of application and operation}</c>; the shard is for people.</summary>
    public static string Of(string prefix, string application, ShardId shard, string operation)
    {
        var hash = SHA256.HashData(Encoding.UTF8.GetBytes($"{application}|{operation}"));
        var (name, bits, count) = (new StringBuilder(HashLetters), 0, 0);
        for (var at = 0; name.Length < HashLetters;)
        {
            if (count < 5) (bits, count) = ((bits << 8) | hash[at++], count + 8);
            name.Append(Letters[(bits >> (count -= 5)) & 31]);
        }
        var readable = shard.Value.Length > ShardLettersMax ? shard.Value[..ShardLettersMax] : shard.Value;
        return $"{prefix}-{readable.Trim('-')}-{name}";
    }
}

using System.Diagnostics;
using System.Globalization;

namespace ShardCloud.Bench.Faults;

/// <summary>Which packets of the member that is cut off vanish.</summary>
internal enum Way
{
    /// <summary>All.</summary>
    Both,

    /// <summary>Those it sends: it hears and is not heard.</summary>
    Sent,

    /// <summary>Those sent to it: it is heard and hears nothing.</summary>
    Received,
}

/// <summary>Packets of one shard vanish in the kernel, one way or both. This process and its whole cloud run in a network namespace of their own, which ends with them.</summary>
/// <remarks>
/// Each shard runs under a group of its own, by which nftables marks connections: this shard asked, or this shard was asked. What is dropped is told by mark and direction, so that
/// what the kernel sends for a socket that is closed already is dropped as well. Nobody's connection is refused or closed.
/// </remarks>
internal static class NetworkCuts
{
    private const int FirstGroup = 60_000, ShardsMax = 8;

    /// <summary>Stands in front of the command of every shard.</summary>
    public static IReadOnlyList<string> ShardPrefix { get; } =
        ["sh", "-c", $"exec setpriv --regid=$(({FirstGroup} + ${{ShardCloud__Shard#shard-}})) --clear-groups \"$@\"", "--"];

    /// <summary>A command that runs in namespaces of its own: a network of loopback only, and mounts that nobody else sees.</summary>
    public static string[] Inside(params string[] command) => ["unshare", "--net", "--mount", "sh", "-c", "ip link set lo up && exec \"$@\"", "--", .. command];

    /// <summary>Why it cannot be done here, or null.</summary>
    public static async Task<string?> ImpossibleAsync(CancellationToken cancellationToken)
    {
        if (!OperatingSystem.IsLinux()) return "Network namespaces are Linux's.";
        if (!Environment.IsPrivilegedProcess) return "Network namespaces need root.";
        var probe = Inside("sh", "-c", "nft add table inet probe && setpriv --regid=60000 --clear-groups mount -t tmpfs probe /mnt");
        try
        {
            using var process = Process.Start(new ProcessStartInfo(probe[0], probe[1..]) { RedirectStandardError = true })!;
            var said = await process.StandardError.ReadToEndAsync(cancellationToken);
            await process.WaitForExitAsync(cancellationToken);
            return process.ExitCode == 0 ? null : $"Network namespaces with nftables, or mounts, are not to be had here: {said.Trim()}";
        }
        catch (System.ComponentModel.Win32Exception error)
        {
            return $"There is no 'unshare': {error.Message}";
        }
    }

    /// <summary>Connections are marked from here on; before the shards start.</summary>
    public static Task PrepareAsync(CancellationToken cancellationToken) => NftAsync($$"""
        table inet cut {
          chain marks { type filter hook output priority -1
        {{string.Join('\n', Enumerable.Range(1, ShardsMax).Select(number => $"""
              meta skgid {FirstGroup + number} ct direction original ct mark set ct mark or {Asked(number)}
              meta skgid {FirstGroup + number} ct direction reply ct mark set ct mark or {WasAsked(number)}
          """))}}
          }
          chain cuts { type filter hook output priority 0
          }
        }
        """, cancellationToken);

    /// <summary>Cuts a shard off.</summary>
    /// <param name="shard">E.g. <c>shard-1</c>.</param>
    /// <param name="listens">Its own member port, to which new connections come.</param>
    /// <param name="services">Which connections, by the port that was dialled, as nftables writes it, e.g. <c>{ 5001, 5002 }</c> or <c>!= 5003</c>.</param>
    /// <param name="way">Which packets.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public static Task CutAsync(string shard, int listens, string services, Way way, CancellationToken cancellationToken)
    {
        var number = int.Parse(shard.Split('-')[^1], CultureInfo.InvariantCulture);
        var (asked, wasAsked) = (Asked(number), WasAsked(number));
        string[] sent = [Drop(asked, "original"), Drop(wasAsked, "reply")], received = [Drop(asked, "reply"), Drop(wasAsked, "original"), $"add rule inet cut cuts tcp dport {listens} drop"];
        return NftAsync(string.Join('\n', way switch { Way.Sent => sent, Way.Received => received, _ => [.. sent, .. received] }), cancellationToken);

        string Drop(int mark, string direction) => $"add rule inet cut cuts ct mark and {mark} == {mark} ct direction {direction} meta l4proto tcp ct original proto-dst {services} drop";
    }

    /// <summary>Everything passes again.</summary>
    public static Task MendAsync(CancellationToken cancellationToken) => NftAsync("flush chain inet cut cuts", cancellationToken);

    private static int Asked(int number) => 1 << (number - 1);

    private static int WasAsked(int number) => 1 << (number - 1 + ShardsMax);

    private static async Task NftAsync(string rules, CancellationToken cancellationToken)
    {
        using var nft = Process.Start(new ProcessStartInfo("nft", ["-f", "-"]) { RedirectStandardInput = true, RedirectStandardError = true })!;
        await nft.StandardInput.WriteAsync((rules + "\n").AsMemory(), cancellationToken);
        nft.StandardInput.Close();
        var said = await nft.StandardError.ReadToEndAsync(cancellationToken);
        await nft.WaitForExitAsync(cancellationToken);
        if (nft.ExitCode != 0) throw new InvalidOperationException($"nft: {said}");
    }
}

using System.Globalization;
using ShardCloud.Bench.Sockets;

var pastAPing = TimeSpan.FromSeconds(40);

// Idle sockets on one router over real shards: bench/README.md. One program, three roles.
return args switch
{
    ["shard"] => await EchoShard.RunAsync(),
    ["clients", var address, var count] => await Clients.RunAsync(address, int.Parse(count, CultureInfo.InvariantCulture)),
    ["--sockets", var count] => await Measurement.RunAsync(int.Parse(count, CultureInfo.InvariantCulture), pastAPing),
    ["--sockets", var count, "--idle", var seconds] => await Measurement.RunAsync(int.Parse(count, CultureInfo.InvariantCulture), TimeSpan.FromSeconds(int.Parse(seconds, CultureInfo.InvariantCulture))),
    _ => await Measurement.RunAsync(10_000, pastAPing),
};

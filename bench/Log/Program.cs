using ShardCloud.Bench.Log;
using ShardCloud.LocalCloud.EventHubs;

// "broker" is this program started again as the log: a process of its own, as under `shardcloud up`.
return args switch
{
    ["broker", .. var rest] => await LocalEventHubsProgram.RunAsync(rest),
    ["throughput", .. var rest] => await Throughput.RunAsync(Settings.Parse(rest)),
    ["visible", .. var rest] => await Visible.RunAsync(Settings.Parse(rest)),
    _ => throw new ArgumentException("Say what to measure: 'throughput' or 'visible'."),
};

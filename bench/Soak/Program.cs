using ShardCloud.Bench.Soak;
using ShardCloud.LocalCloud.EventHubs;

// Without a first word it is the soak, which starts this program again as the broker: a process of its own, as under `shardcloud up`.
return args is ["broker", .. var rest] ? await LocalEventHubsProgram.RunAsync(rest) : await Soak.RunAsync(Settings.Parse(args));

using ShardCloud.Bench.Crash;

// kill -9 of a random shard under load, round after round; exit code 1 when an answered write was lost, counted twice, or a request failed.
return await new CrashRun(Settings.Parse(args)).RunAsync();

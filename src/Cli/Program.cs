using ShardCloud.Cli;
using ShardCloud.Cli.Stack;

return await (StandIns.TryRun(args) ?? CommandLine.RunAsync(args));

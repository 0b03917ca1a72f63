using ShardCloud.Cli;

return await CommandLine.RunAsync(args);

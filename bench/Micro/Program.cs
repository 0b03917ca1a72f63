using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Diagnosers;
using BenchmarkDotNet.Exporters;
using BenchmarkDotNet.Exporters.Json;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using ShardCloud.Bench.Micro;

if (args is ["memory"])
{
    MapMemory.Print();
    return 0;
}

if (args is ["map"]) return MapScale.Run();

if (args is ["affinity"])
{
    AffinitySize.Print();
    return 0;
}

if (args is ["documents"])
{
    DocumentMemory.Print();
    return 0;
}

if (args is ["shard"])
{
    await ShardMemory.PrintAsync();
    return 0;
}

if (args is ["sessions", "stay" or "leave"])
{
    await SessionMemory.PrintAsync(forgets: args[1] == "leave");
    return 0;
}

// In this process: a map of a million endpoints is built once a class, and no second build of the solution is needed.
var job = Job.Default.WithToolchain(InProcessEmitToolchain.Instance).WithWarmupCount(3).WithIterationCount(10);
var config = ManualConfig.CreateEmpty()
    .AddJob(job)
    .AddLogger(ConsoleLogger.Default)
    .AddColumnProvider(DefaultColumnProviders.Instance)
    .AddDiagnoser(MemoryDiagnoser.Default)
    .AddExporter(MarkdownExporter.GitHub, JsonExporter.BriefCompressed);
BenchmarkSwitcher.FromAssembly(typeof(MapMemory).Assembly).Run(args, config);
return 0;

using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using ShardCloud.Cli.Output;
using ShardCloud.Cli.Sizing;
using Spectre.Console;

namespace ShardCloud.Cli.Commands;

/// <summary><c>size</c>: partitions, throughput units, connections and memory for a workload; docs/operating/sizing.md.</summary>
internal static class SizeCommand
{
    public static Command Create()
    {
        var endpoints = Number("--endpoints", "Endpoints that have state.", 100_000L, 1, 1_000_000_000);
        var stateBytes = Number("--state-bytes", "Bytes of one endpoint's state.", 200, 1, 512 * 1024);
        var writes = Number("--writes", "Requests a second that change state, all shards together.", 1_000.0, 0, 10_000_000);
        var deltaBytes = Number("--delta-bytes", "Bytes of one change in the log, its completion record included.", 200, 1, 256 * 1024);
        var members = Number("--members", "Shards.", 3, 1, 1_000);
        var routers = Number("--routers", "Routers.", 2, 1, 100);
        var sockets = Number("--sockets", "Open WebSockets, all routers together.", 0L, 0, 10_000_000);
        var ack = Number("--ack-ms", "How long the log takes to acknowledge, in ms; in one region plan for 20 to 60.", 40.0, 0.1, 10_000);
        return new Command("size", "How large a cloud must be: partitions, throughput units, connections, memory, and what costs.\n\nExample: shardcloud size --endpoints 1000000 --writes 5000 --delta-bytes 300 --members 8")
        {
            endpoints, stateBytes, writes, deltaBytes, members, routers, sockets, ack, Shared.Json,
        }.Does((parsed, terminal, _) =>
        {
            var work = new Workload(
                parsed.GetRequiredValue(endpoints), parsed.GetRequiredValue(stateBytes), parsed.GetRequiredValue(writes), parsed.GetRequiredValue(deltaBytes), parsed.GetRequiredValue(members),
                parsed.GetRequiredValue(routers), parsed.GetRequiredValue(sockets), parsed.GetRequiredValue(ack));
            var size = CloudSize.Of(work, LogTier.Standard);
            terminal.Result(new SizeAnswer(work, size), SizeJson.Default.SizeAnswer, console => Show(console, work, size));
            return Task.FromResult(size.Limits.Count == 0 ? 0 : 1);
        });
    }

    private static Option<T> Number<T>(string name, string description, T byDefault, T least, T most)
        where T : IComparable<T>
    {
        var option = new Option<T>(name) { Description = string.Create(CultureInfo.InvariantCulture, $"{description} {least} to {most}."), DefaultValueFactory = _ => byDefault };
        option.Validators.Add(result =>
        {
            if (result.Errors.Any() || result.GetValueOrDefault<T>() is not { } value) return;
            if (value.CompareTo(least) < 0 || value.CompareTo(most) > 0) result.AddError(string.Create(CultureInfo.InvariantCulture, $"{name} is {value}; it is {least} to {most}."));
        });
        return option;
    }

    private static void Show(IAnsiConsole console, Workload work, CloudSize size)
    {
        var table = Tables.Plain("what", "how much", "why");
        Row("Event Hub partitions", $"{size.Partitions}", "as many as shards, each under 0.9 MB/s; fixed for the life of a cloud");
        Row("throughput units", $"{size.ThroughputUnits}", $"{size.RecordsPerSecond:0} records/s of {size.ChangesPerRecord:0.0} changes, {size.InBytesPerSecond / 1e6:0.00} MB/s in, {size.OutBytesPerSecond / 1e6:0.00} MB/s out");
        Row("connections to Event Hubs", $"{size.Connections}", "4 producers and the control channel a shard, one consumer for each copy of a partition; twice that in an update");
        Row("memory of a shard", $"{size.ShardMegabytes:0} MB", $"{work.Endpoints / work.Members:N0} endpoints owned, as many backed up; the application's own comes on top");
        Row("memory of a router", $"{size.RouterMegabytes:0} MB", $"{work.Sockets / work.Routers:N0} sockets of 18 KB");
        Row("log kept a day", $"{size.RetainedGigabytesPerDay:0.0} GB", "84 GB a unit and day are in the price of Standard");
        Row("lease writes to Tables", $"{size.RenewalsPerSecond:0.0} a second", "every member renews five times a lease of 15 s");
        console.Write(table);
        console.WriteLine("What costs: the shards' and the routers' plans, the units, Tables transactions, private endpoints, logs. docs/operating/sizing.md says what these figures rest on.");
        foreach (var limit in size.Limits) console.WriteLine($"Does not fit: {limit}");

        void Row(string what, string much, string why) => table.AddRow(new Text(what), new Text(much), new Text(why));
    }
}

/// <summary>What <c>size --json</c> prints.</summary>
internal sealed record SizeAnswer(Workload Workload, CloudSize Size);

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web)]
[JsonSerializable(typeof(SizeAnswer))]
internal sealed partial class SizeJson : JsonSerializerContext;

using System.Diagnostics.Metrics;
using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using Microsoft.Extensions.DependencyInjection;
using ShardCloud.Replication;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Sockets.Carrier;
using ShardCloud.ShardRuntime.Sockets.Owner;

namespace ShardCloud.ShardRuntime.Tests.Hosting;

public sealed partial class MetricsTests
{
    [Fact]
    public void Instruments_AreListedInTheDocument_WithKindAndUnit() => Compare(Here());

    private static void Compare(string here)
    {
        using var services = new ServiceCollection().AddMetrics().BuildServiceProvider();
        var meters = services.GetRequiredService<IMeterFactory>();
        List<string> made = [];
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, _) =>
            {
                if (ReferenceEquals(instrument.Meter.Scope, meters)) made.Add($"{instrument.Meter.Name} {instrument.Name} {KindOf(instrument)} {instrument.Unit}");
            },
        };
        listener.Start();
        _ = new LogMetrics(meters);
        _ = new ShardMetrics(meters);
        _ = new SocketMetrics(meters);
        _ = new OwnedSocketMetrics(meters);

        var meter = "";
        List<string> listed = [];
        foreach (var line in File.ReadLines(Path.Combine(Path.GetDirectoryName(here)!, "../../../docs/metrics.md")))
        {
            if (MeterHeading().Match(line) is { Success: true } heading) meter = heading.Groups[1].Value;
            if (InstrumentRow().Match(line) is { Success: true } row) listed.Add($"{meter} {row.Groups[1].Value} {row.Groups[2].Value} {row.Groups[3].Value}");
        }
        Assert.Equal(made.Order(), listed.Order());
    }

    private static string Here([CallerFilePath] string path = "") => path;

    private static string KindOf(Instrument instrument) => instrument.GetType().GetGenericTypeDefinition() switch
    {
        var type when type == typeof(Counter<>) || type == typeof(ObservableCounter<>) => "counter",
        var type when type == typeof(UpDownCounter<>) || type == typeof(ObservableUpDownCounter<>) => "up-down counter",
        var type when type == typeof(Histogram<>) => "histogram",
        var type when type == typeof(Gauge<>) || type == typeof(ObservableGauge<>) => "gauge",
        var type => type.Name,
    };

    [GeneratedRegex(@"^## Meter `([\w.]+)`")]
    private static partial Regex MeterHeading();

    [GeneratedRegex(@"^\| `([\w.]+)` \| ([\w -]+) \| (\S+) \|")]
    private static partial Regex InstrumentRow();
}

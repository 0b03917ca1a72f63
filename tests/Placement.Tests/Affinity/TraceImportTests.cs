using System.Globalization;
using ShardCloud.Placement.Affinity;
using ShardCloud.Placement.Affinity.Traces;
using ShardCloud.Routing;

namespace ShardCloud.Placement.Tests.Affinity;

/// <summary>Affinity maps of access logs.</summary>
public sealed class TraceImportTests
{
    private const string Combined = """
        10.0.0.1 - - [30/Nov/2026:12:00:00 +0000] "GET /rooms/1?a=b HTTP/1.1" 200 100 "-" "Mozilla/5.0 \"x\" (A)"
        10.0.0.1 - - [30/Nov/2026:12:00:00 +0000] "GET /rooms/9 HTTP/1.1" 200 100 "-" "Mozilla/5.0 (B)"
        10.0.0.1 - - [30/Nov/2026:12:00:05 +0000] "GET /rooms/2 HTTP/1.1" 304 - "-" "Mozilla/5.0 \"x\" (A)"
        10.0.0.1 - ada [30/Nov/2026:13:00:06 +0100] "POST /rooms/3/increment HTTP/2.0" 200 100 "http://x/" "curl"
        10.0.0.2 - ada [30/Nov/2026:12:00:07 +0000] "GET /rooms/4 HTTP/2.0" 200 5 "-" "curl"
        10.0.0.2 - ada [30/Nov/2026:12:00:08 +0000] "GET /favicon.ico HTTP/2.0" 404 5 "-" "curl"
        10.0.0.2 - ada [30/Nov/2026:12:01:00 +0000] "GET /rooms/5 HTTP/2.0" 200 5 "-" "curl"
        """;

    [Fact]
    public void Log_GivesTheEdgesOfEachClient_WithinTheWindow()
    {
        var summary = Import(Combined, TraceFormat.Log);
        Assert.Equal("rooms/1-rooms/2 rooms/3-rooms/4", Edges(summary.Map));
        Assert.Equal((7L, 6L, 1L, 0L, TimeSpan.FromMinutes(1)), (summary.Lines, summary.Accesses, summary.Elsewhere, summary.Bad, summary.Length));
        Assert.Equal(1.0 / 60, summary.Map.Weight("rooms/1", "rooms/2"), 0.0005);
        Assert.Equal(100.0 / 60, summary.Map.Vertices[0].Load.Bytes, 0.05);
        Assert.Equal((1L, DateTimeOffset.Parse("2026-11-30T12:01:00Z", CultureInfo.InvariantCulture)), (summary.Map.Version, summary.Map.At));
        Assert.Equal(AffinityFile.Write(summary.Map), AffinityFile.Write(Import(Combined.ReplaceLineEndings("\r\n"), TraceFormat.Log).Map));
    }

    [Fact]
    public void CommonLog_WithoutBrowsers_TellsClientsByTheirAddress() => Assert.Equal("rooms/1-rooms/2", Edges(Import("""
        10.0.0.1 - - [30/Nov/2026:12:00:00 +0000] "GET /rooms/1 HTTP/1.1" 200 100
        10.0.0.2 - - [30/Nov/2026:12:00:01 +0000] "GET /rooms/7 HTTP/1.1" 200 100
        10.0.0.1 - - [30/Nov/2026:12:00:02 +0000] "GET /rooms/2 HTTP/1.1" 200 -
        """, TraceFormat.Log).Map));

    [Theory]
    [InlineData("time,client,endpoint\n2026-11-30T12:00:00Z,ada,rooms/1\n2026-11-30T12:00:01Z,ada,/rooms/2/items\n")]
    [InlineData("1796040000,ada,rooms/1\n1796040001.5,ada,\"/rooms/2\"")]
    public void Csv_TakesPathsAndNames(string csv) => Assert.Equal("rooms/1-rooms/2", Edges(Import(csv, TraceFormat.Csv).Map));

    [Theory]
    [InlineData(TraceFormat.Log, "nonsense", "Line 2")]
    [InlineData(TraceFormat.Log, "10.0.0.1 - - [30/Nov/2026 12:00:00] \"GET /rooms/1 HTTP/1.1\" 200 100", "no time in brackets")]
    [InlineData(TraceFormat.Log, "10.0.0.1 - - [30/Nov/2026:12:00:00 +0000] \"GET /rooms/1 HTTP/1.1", "no request in quotes")]
    [InlineData(TraceFormat.Log, "10.0.0.1 - - [30/Nov/2026:12:00:00 +0000] \"\\x16\\x03\" 400 0", "no method and path")]
    [InlineData(TraceFormat.Log, "10.0.0.1 - - [30/Nov/2026:12:00:00 +0000] \"CONNECT example:443 HTTP/1.1\" 400 0", "names no path")]
    [InlineData(TraceFormat.Log, "10.0.0.1 - - [30/Nov/2026:12:00:00 +0000] \"GET /rooms/1 HTTP/1.1\" ok 0", "no status and size")]
    [InlineData(TraceFormat.Log, "10.0.0.1 - - [30/Nov/2026:12:00:00 +0000] \"GET /rooms/1 HTTP/1.1\" 200 -5", "size is not a number")]
    [InlineData(TraceFormat.Csv, "1796040000,ada", "three values")]
    [InlineData(TraceFormat.Csv, "1796040000,ada,rooms/1,more", "three values")]
    [InlineData(TraceFormat.Csv, "noon,ada,rooms/1", "neither seconds")]
    [InlineData(TraceFormat.Csv, "1e300,ada,rooms/1", "neither seconds")]
    [InlineData(TraceFormat.Csv, "1796040000,,rooms/1", "no client")]
    [InlineData(TraceFormat.Csv, "1796040000,ada,", "no endpoint")]
    [InlineData(TraceFormat.Csv, "1796040000,ada,rooms\u0001", "control characters")]
    public void ALineThatCannotBeRead_IsRefusedWithItsNumber_OrSkippedWhereThatWasAskedFor(TraceFormat format, string line, string fault)
    {
        var good = format is TraceFormat.Log ? Combined.Split('\n')[0] : "1796040000,ada,rooms/1";
        var error = Assert.Throws<ShardCloudException>(() => Import($"{good}\n{line}\n{good}\n", format));
        Assert.Equal(ErrorCodes.TraceUnreadable, error.Code);
        Assert.Contains("Line 2 ", error.Message, StringComparison.Ordinal);
        Assert.Contains(fault, error.Message, StringComparison.Ordinal);

        Assert.Equal((3L, 2L, 1L), Import($"{good}\n{line}\n{good}\n", format, skipBad: 1) is var summary ? (summary.Lines, summary.Accesses, summary.Bad) : default);
        Assert.Contains("Line 3 ", Assert.Throws<ShardCloudException>(() => Import($"{good}\n{line}\n{line}\n", format, skipBad: 1)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void ALineWithoutEnd_IsRefused_InBoundedMemory_AndATraceWithoutEndpoints_Too()
    {
        var error = Assert.Throws<ShardCloudException>(() => Import($"1796040000,ada,rooms/1\n{new string('x', 500_000)}\n", TraceFormat.Csv));
        Assert.Contains("Line 2 of the trace cannot be read: it has more than", error.Message, StringComparison.Ordinal);
        Assert.Equal(2, Import($"1796040000,ada,rooms/1\n{new string('x', 500_000)}\n1796040000,ada,rooms/1", TraceFormat.Csv, skipBad: 1).Accesses);
        Assert.Equal(ErrorCodes.TraceUnreadable, Assert.Throws<ShardCloudException>(() => Import("1796040000,ada,/other\n", TraceFormat.Csv)).Code);
    }

    [Fact]
    public void ALongTrace_IsReadLineByLine_IntoABoundedMap()
    {
        var limits = new ObservationLimits(1_000, TimeSpan.FromDays(1), TimeSpan.FromSeconds(10), HasLoads: true);
        var told = new List<long>();
        var before = GC.GetAllocatedBytesForCurrentThread();
        var summary = TraceImport.Run(new Endless(300_000), new TraceOptions(TraceFormat.Csv, Templates, limits, 0), told.Add, TestContext.Current.CancellationToken);
        // The name of a line is all that is made, and let go (some of this is boxes of code that is not optimised).
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 300_000 * 200);
        Assert.Equal([100_000, 200_000, 300_000], told);
        Assert.Equal(300_000, summary.Accesses);
        Assert.InRange(summary.Map.Edges.Count, 1, 1_000);
    }

    private static readonly TemplateTable Templates = new([new TemplateSpec("/rooms/{room}")]);

    private static TraceSummary Import(string text, TraceFormat format, long skipBad = 0) => TraceImport.Run(new StringReader(text), new TraceOptions(format, Templates,
        new ObservationLimits(1_000, TimeSpan.FromDays(1), TimeSpan.FromSeconds(10), HasLoads: true) { AgeMin = TimeSpan.FromSeconds(1) }, skipBad), null, TestContext.Current.CancellationToken);

    private static string Edges(AffinityMap map) => string.Join(' ', map.Edges.Select(edge => $"{map.Vertices[edge.A].Endpoint}-{map.Vertices[edge.B].Endpoint}"));

    /// <summary>So many lines, made as they are read.</summary>
    private sealed class Endless(int lines) : TextReader
    {
        private const string Line = "1796040000,ada,rooms/0000000\n";

        private long _at;

        public override int Read(char[] buffer, int index, int count)
        {
            count = (int)Math.Min(count, ((long)lines * Line.Length) - _at);
            for (var i = 0; i < count; i++, _at++)
            {
                var (line, column) = (_at / Line.Length, (int)(_at % Line.Length));
                buffer[index + i] = column is >= 21 and < 28 ? (char)('0' + (line * 7919 / Power(27 - column) % 10)) : Line[column];
            }
            return count;
        }

        private static long Power(int exponent)
        {
            var power = 1L;
            while (exponent-- > 0) power *= 10;
            return power;
        }
    }
}

using System.Text;
using CsCheck;
using ShardCloud.ShardRuntime.Streams;

namespace ShardCloud.ShardRuntime.Tests.Streams;

public sealed class EventScannerTests
{
    [Theory]
    [InlineData("data: 1\n\n", 9, null)]
    [InlineData("data: 1\n", 0, null)]
    [InlineData("id: 7\ndata: 1\n", 0, null)] // Counts from the event's end.
    [InlineData("id: 7\ndata: 1\n\ndata: 2", 15, "7")]
    [InlineData("id:7\r\ndata: 1\r\n\r\n", 17, "7")]
    [InlineData("id: 7\rdata: 1\r\r", 15, "7")]
    [InlineData("id:  7 \n\n", 9, " 7 ")] // One space only.
    [InlineData("id: 7\n\nid\n\n", 11, "")] // Taken back.
    [InlineData("id: 7\n\nid: a\0b\n\n", 16, "7")] // Ignored, says the standard.
    [InlineData("id: 7\n\nid: a\u0001b\n\n", 16, "")] // No header could carry it.
    [InlineData("ident: 7\n\n", 10, null)]
    [InlineData("data: id: 7\n\n", 13, null)]
    [InlineData(":comment\n\n", 10, null)]
    [InlineData("\uFEFFid: 7\n\n", 10, "7")]
    [InlineData("id: \u00e9\n\n", 8, "\u00e9")]
    public void Scan_FindsTheEndOfTheLastWholeEvent_AndItsId(string stream, int ended, string? id)
    {
        var scanner = new EventScanner();
        Assert.Equal(ended, scanner.Scan(Encoding.UTF8.GetBytes(stream)));
        Assert.Equal(id, scanner.LastId);
    }

    [Fact]
    public void Scan_IdTooLongForAHeader_IsAsGoodAsNone()
    {
        var scanner = new EventScanner();
        scanner.Scan(Encoding.UTF8.GetBytes($"id: 7\n\nid: {new string('x', EventScanner.IdBytesMax)}\n\n"));
        Assert.Equal(EventScanner.IdBytesMax, scanner.LastId!.Length);
        scanner.Scan(Encoding.UTF8.GetBytes($"id: {new string('x', EventScanner.IdBytesMax + 1)}\n\n"));
        Assert.Equal("", scanner.LastId);
    }

    [Fact]
    public void Restart_ForgetsWhatWasBegun_NotWhatWasSeen()
    {
        var scanner = new EventScanner();
        scanner.Scan("id: 7\n\nid: 8\ndata: x"u8);
        scanner.Restart();
        Assert.Equal(9, scanner.Scan("data: y\n\n"u8));
        Assert.Equal("7", scanner.LastId);
    }

    // Method: any text of the bytes that matter, whole and cut into any pieces: the same id, and the same bytes whole.
    [Fact]
    public void Scan_InAnyPieces_FindsTheSame() => Gen.Select(Gen.String[Gen.Char["\r\nid: 7"], 0, 60], Gen.Int[1, 7].Array[60]).Sample((text, cuts) =>
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        var whole = new EventScanner();
        var ended = whole.Scan(bytes);
        var pieces = new EventScanner();
        var (at, last) = (0, 0);
        foreach (var cut in cuts)
        {
            var piece = bytes.AsSpan(at, Math.Min(cut, bytes.Length - at));
            if (pieces.Scan(piece) is > 0 and var end) last = at + end;
            at += piece.Length;
        }
        return (ended, whole.LastId) == (last, pieces.LastId);
    });
}

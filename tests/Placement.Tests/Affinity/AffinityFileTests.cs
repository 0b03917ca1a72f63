using System.Text;
using CsCheck;
using ShardCloud.Placement.Affinity;

namespace ShardCloud.Placement.Tests.Affinity;

/// <summary>The bytes of an affinity map.</summary>
public sealed class AffinityFileTests
{
    private const string Good = """{"affinity":1,"version":12,"at":"2026-11-30T04:13:43.120Z","halfLifeSeconds":600,"vertices":[["inventory/7",12.5,0.02,4096,0,310],["rooms/1",3,0.01,900,4,1200]],"edges":[[0,1,2.25]],"slots":[[17,0.5,0.001,80,0,0]]}""";

    [Fact]
    public void Map_IsReadAsItWasWritten() => Maps.Any.Sample(map => Assert.Equal(AffinityFile.Write(map), AffinityFile.Write(AffinityFile.Read(AffinityFile.Write(map)))), iter: 200);

    [Fact]
    public void Document_OfTheDocstring_IsReadAndWrittenByteForByte()
    {
        var map = AffinityFile.Read(Encoding.UTF8.GetBytes(Good));
        Assert.Equal((12L, 2.25, 1200.0, 17), (map.Version, map.Weight("rooms/1", "inventory/7"), map.Vertices[1].Load.StateBytes, (int)map.Slots[0].Slot.Value));
        Assert.Equal(Good, Encoding.UTF8.GetString(AffinityFile.Write(map)));
    }

    [Theory]
    [InlineData("[0,1,2.25]", "[0,1,NaN]")]
    [InlineData("[0,1,2.25]", "[0,1,-1]")]
    [InlineData("[0,1,2.25]", "[0,1,0]")]
    [InlineData("[0,1,2.25]", "[0,1,1e999]")]
    [InlineData("[0,1,2.25]", "[1,0,1]")]
    [InlineData("[0,1,2.25]", "[1,1,1]")]
    [InlineData("[0,1,2.25]", "[0,2,1]")]
    [InlineData("[0,1,2.25]", "[-1,1,1]")]
    [InlineData("[0,1,2.25]", "[0,1,1],[0,1,1]")]
    [InlineData("[0,1,2.25]", "[0,1]")]
    [InlineData("[0,1,2.25]", "7")]
    [InlineData("12.5", "-12.5")]
    [InlineData("12.5", "1e999")]
    [InlineData("12.5", "\"12.5\"")]
    [InlineData("inventory/7", "rooms/1")]
    [InlineData("inventory/7", "zoo/1")]
    [InlineData("inventory/7", "")]
    [InlineData("[[17,", "[[16384,")]
    [InlineData("[[17,", "[[-1,")]
    [InlineData("[[17,", "[[17,0.5,0.001,80,0,0],[17,")]
    [InlineData("600", "0")]
    [InlineData("600", "1e12")]
    [InlineData("2026-11-30T04:13:43.120Z", "yesterday")]
    [InlineData("\"version\":12", "\"version\":-1")]
    [InlineData("\"affinity\":1", "\"affinity\":2")]
    [InlineData("\"version\":12", "\"version\":12,\"more\":1")]
    [InlineData("\"version\":12,", "")]
    [InlineData("]]}", "]]")]
    public void AnythingElse_IsRefused(string part, string instead)
    {
        Assert.Contains(part, Good, StringComparison.Ordinal);
        var error = Assert.Throws<ShardCloudException>(() => AffinityFile.Read(Encoding.UTF8.GetBytes(Good.Replace(part, instead, StringComparison.Ordinal))));
        Assert.Equal(ErrorCodes.AffinityUnreadable, error.Code);
    }
}

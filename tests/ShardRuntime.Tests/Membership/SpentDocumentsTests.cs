using Microsoft.Extensions.Time.Testing;
using ShardCloud.ShardRuntime.Membership;

namespace ShardCloud.ShardRuntime.Tests.Membership;

/// <summary>When a grant is renewed so that spent documents leave the replicas.</summary>
public sealed class SpentDocumentsTests
{
    private readonly FakeTimeProvider _time = new();
    private readonly Dictionary<int, (int Spent, int Kept)> _counts = [];

    [Fact]
    public void Next_IsWhereAtLeastHalfIsSpent_OncePerTime()
    {
        var documents = new SpentDocuments(new SpentSettings { Least = 100, Every = TimeSpan.FromMinutes(10) }, partition => _counts.GetValueOrDefault(partition), _time);
        (_counts[1], _counts[2], _counts[3]) = ((99, 0), (500, 501), (0, 0));
        Assert.Null(documents.Next([0, 1, 2, 3]));

        (_counts[2], _counts[3]) = ((501, 501), (100, 0));
        Assert.Equal(2, documents.Next([0, 1, 2, 3]));
        Assert.Equal(3, documents.Next([0, 1, 2, 3]));
        Assert.Null(documents.Next([0, 1, 2, 3])); // What was asked for is under way.

        _time.Advance(TimeSpan.FromMinutes(10));
        _counts[2] = (4, 501);
        Assert.Equal(3, documents.Next([0, 1, 2, 3]));
    }
}

using System.Text.Json.Nodes;

namespace ShardCloud.Compat.Tests;

/// <summary>Today's code beside released code: it reads all that was written, to the same values, and writes what the release reads.</summary>
public sealed class ReleasedTests
{
    public static readonly TheoryData<string> Versions = new(Released.Versions);

    [Fact(Explicit = true)]
    public void Record_TheSamples() => Released.Record();

    [Theory]
    [MemberData(nameof(Versions))]
    public void Read_WhatAReleaseWrote_MeansTheSame(string version)
    {
        var wrong = new List<string>();
        foreach (var sample in Released.Samples)
        {
            if (Released.Read(version, sample.Name) is not { } released) continue;
            var meaning = Try(() => sample.Read(released.Written));
            if (!sample.IsJson && meaning != released.Meaning) wrong.Add($"{version}/{sample.Name} is read as\n{meaning}\ninstead of\n{released.Meaning}");
            else if (sample.IsJson && Lost(JsonNode.Parse(released.Written), Parse(meaning), "") is { } lost) wrong.Add($"{version}/{sample.Name}: {lost}; it is read as\n{meaning}");
        }
        Assert.True(wrong.Count == 0, string.Join("\n\n", wrong));
    }

    [Theory]
    [MemberData(nameof(Versions))]
    public void Write_TheSameValues_GivesTheBytesOfTheRelease(string version)
    {
        var wrong = new List<string>();
        foreach (var sample in Released.Samples)
        {
            if (sample.IsFilled || Released.Read(version, sample.Name) is not { } released || Released.KnownDifferences.ContainsKey($"{version}/{sample.Name}")) continue;
            var written = Try(sample.Write);
            if (written != released.Written) wrong.Add($"{version}/{sample.Name} is written as\n{written}\ninstead of\n{released.Written}");
        }
        Assert.True(wrong.Count == 0, $"Other releases read what is written now. If that is meant, and they can, name it in Released.KnownDifferences.\n\n{string.Join("\n\n", wrong)}");
    }

    [Fact]
    public void Samples_AreAllRecorded_AndAllFilesHaveASample()
    {
        var samples = Released.Samples.Select(sample => sample.Name).Order(StringComparer.Ordinal).ToList();
        Assert.Equal(samples.Distinct(), samples);
        Assert.Equal(samples, Released.NamesOf(Released.Current));
        Assert.All(Released.Versions, version => Assert.Empty(Released.NamesOf(version).Except(samples)));
        Assert.All(Released.KnownDifferences.Keys, name => Assert.Contains(name, Released.Versions.SelectMany(version => samples.Select(sample => $"{version}/{sample}"))));
    }

    private static string Try(Func<string> act)
    {
        try
        {
            return act();
        }
        catch (Exception error)
        {
            return $"{error.GetType().Name}: {error.Message}";
        }
    }

    private static JsonNode? Parse(string text)
    {
        try
        {
            return JsonNode.Parse(text);
        }
        catch (System.Text.Json.JsonException)
        {
            return null;
        }
    }

    /// <summary>What of the released JSON is not in today's; members may be more.</summary>
    internal static string? Lost(JsonNode? released, JsonNode? today, string at) => released switch
    {
        JsonObject then => today is not JsonObject now ? $"{at} is no object" : then.Select(member => !now.ContainsKey(member.Key) ? $"{at}.{member.Key} is lost" : Lost(member.Value, now[member.Key], $"{at}.{member.Key}")).FirstOrDefault(lost => lost is not null),
        JsonArray then => today is not JsonArray now || now.Count != then.Count ? $"{at} has not {then.Count} items" : then.Select((item, i) => Lost(item, now[i], $"{at}[{i}]")).FirstOrDefault(lost => lost is not null),
        _ => JsonNode.DeepEquals(released, today) ? null : $"{at} is {today?.ToJsonString() ?? "absent"} instead of {released?.ToJsonString()}",
    };
}

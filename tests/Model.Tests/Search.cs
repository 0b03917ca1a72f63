using System.Text;

namespace ShardCloud.Model.Tests;

/// <summary>What an exploration found.</summary>
/// <param name="States">Different states reached.</param>
/// <param name="Steps">Steps taken from them.</param>
/// <param name="Depth">Steps of the longest shortest way to a state.</param>
/// <param name="IsComplete">Every state within the bounds was reached, none was left for the count.</param>
/// <param name="Broken">The property that does not hold; null: all hold.</param>
/// <param name="History">A shortest way to where it does not.</param>
internal sealed record Found(int States, long Steps, int Depth, bool IsComplete, string? Broken, IReadOnlyList<string> History);

/// <summary>Breadth first over everything that may happen. A state is the way that leads to it, taken again from the start each time: the cores need not be copied.</summary>
internal static class Search
{
    private sealed record Node(Node? Before, int Choice, UInt128 Print, int Choices);

    private sealed record Step(int Choice, UInt128 Print, int Choices, string? Broken);

    /// <summary>Explores.</summary>
    /// <param name="bounds">How large a world.</param>
    /// <param name="guards">Guards that are on.</param>
    /// <param name="looksAtEnds">Also states in which nothing more happens are to be good ones.</param>
    /// <param name="statesMax">Gives up past so many.</param>
    public static Found Run(Bounds bounds, Guards guards, bool looksAtEnds = true, int statesMax = 30_000)
    {
        var empty = ModelMap.Empty(ModelWorld.Partitions, guards | Guards.G5);
        ModelWorld World() => new(bounds, guards, empty);

        var start = World();
        var seen = new HashSet<UInt128> { start.Print() };
        var level = new List<Node> { new(null, -1, start.Print(), start.Choices().Count) };
        var (steps, depth) = (0L, 0);
        while (level.Count > 0 && seen.Count < statesMax)
        {
            var expanded = new IReadOnlyList<Step>[level.Count];
            Parallel.For(0, level.Count, i => expanded[i] = Expand(World, level[i], looksAtEnds));
            var next = new List<Node>();
            for (var i = 0; i < level.Count; i++)
            {
                foreach (var step in expanded[i])
                {
                    steps++;
                    if (step.Broken is not null)
                        return new Found(seen.Count, steps, depth + 1, false, step.Broken, step.Choice < 0 ? Tell(World(), WayTo(level[i])) : Tell(World(), [.. WayTo(level[i]), step.Choice]));
                    if (step.Choice >= 0 && seen.Add(step.Print)) next.Add(new Node(level[i], step.Choice, step.Print, step.Choices));
                }
            }
            level = next;
            if (level.Count > 0) depth++;
        }
        return new Found(seen.Count, steps, depth, level.Count == 0, null, []);
    }

    private static List<Step> Expand(Func<ModelWorld> create, Node node, bool looksAtEnds)
    {
        var steps = new List<Step>(node.Choices + 1);
        var way = WayTo(node);
        var isQuiet = true; // What need not happen aside, nothing leads to another state.
        for (var i = 0; i < node.Choices; i++)
        {
            var world = Replay(create(), way);
            var choice = world.Choices()[i];
            if (Try(() => TakeAndCheck(world, choice)) is { } broken)
            {
                steps.Add(new Step(i, 0, 0, broken));
                continue;
            }
            var step = new Step(i, world.Print(), world.Choices().Count, null);
            isQuiet &= choice.IsFault || step.Print == node.Print;
            steps.Add(step);
        }
        if (looksAtEnds && isQuiet && Try(Replay(create(), way).Finish) is { } stuck) steps.Add(new Step(-1, 0, 0, stuck));
        return steps;
    }

    private static string? Try(Action act)
    {
        try
        {
            act();
            return null;
        }
        catch (BrokenException broken)
        {
            return broken.Message;
        }
        catch (Exception thrown) when (thrown is ShardCloudException or InvalidOperationException)
        {
            return $"a core threw: {thrown.Message}";
        }
    }

    private static void TakeAndCheck(ModelWorld world, Choice choice)
    {
        world.Take(choice);
        world.Check();
    }

    private static ModelWorld Replay(ModelWorld world, int[] way)
    {
        foreach (var choice in way) world.Take(world.Choices()[choice]);
        return world;
    }

    private static int[] WayTo(Node node)
    {
        var way = new List<int>();
        for (var at = node; at.Before is not null; at = at.Before) way.Add(at.Choice);
        way.Reverse();
        return [.. way];
    }

    /// <summary>A way in words: each step with what it brought about.</summary>
    private static List<string> Tell(ModelWorld world, int[] way)
    {
        var lines = new List<string>();
        for (var i = 0; i < way.Length; i++)
        {
            var choice = world.Choices()[way[i]];
            var broken = Try(() => TakeAndCheck(world, choice));
            var line = new StringBuilder($"{i + 1}. {choice.Text}");
            foreach (var note in world.Notes) line.Append(System.Globalization.CultureInfo.InvariantCulture, $"\n   - {note}");
            lines.Add(line.ToString());
            if (broken is not null) return lines;
        }
        return lines;
    }
}

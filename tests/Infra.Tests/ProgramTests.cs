using System.Xml.Linq;

namespace ShardCloud.Infra.Tests;

/// <summary>The Pulumi program: its types, and its own tests, which run it against a stand-in for Pulumi's engine and look at what it registers.</summary>
public sealed class ProgramTests
{
    private static readonly Lazy<Task<Dictionary<string, string?>>> Ran = new(RunAsync);

    [Fact]
    public async Task Program_HasNoTypeErrors()
    {
        var (exit, printed, errors) = await InfraFolder.NodeAsync("node_modules/typescript/bin/tsc", "--noEmit");

        Assert.True(exit == 0, printed + errors);
    }

    /// <summary>Each test of <c>src/Infra/test</c> is one here.</summary>
    [Theory(DisableDiscoveryEnumeration = true), MemberData(nameof(Names))]
    public async Task Ground(string test) => Assert.Null((await Ran.Value)[test]);

    public static async Task<IEnumerable<TheoryDataRow<string>>> Names() => (await Ran.Value).Keys.Select(test => new TheoryDataRow<string>(test));

    /// <summary>What failed, by the test's name; null: passed.</summary>
    private static async Task<Dictionary<string, string?>> RunAsync()
    {
        var (exit, printed, errors) = await InfraFolder.NodeAsync("--import", "tsx", "--test", "--test-reporter=junit", "test/all.test.ts");
        var tests = new Dictionary<string, string?>(StringComparer.Ordinal);
        foreach (var test in XDocument.Parse(printed).Descendants("testcase"))
        {
            var suites = test.Ancestors("testsuite").Select(suite => (string?)suite.Attribute("name")).Reverse();
            var why = test.Element("skipped") is null ? test.Element("failure")?.Value : "It was skipped.";
            Assert.True(tests.TryAdd(string.Join(": ", suites.Append((string?)test.Attribute("name"))), why), $"Two tests have the name {test.Attribute("name")}.");
        }
        Assert.True(tests.Count >= 100, $"Only {tests.Count} tests ran, exit code {exit}: {errors}"); // None would pass everything.
        Assert.Equal(exit == 0, tests.Values.All(why => why is null));
        return tests;
    }
}

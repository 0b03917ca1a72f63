using System.Text.Json.Nodes;

namespace ShardCloud.Orchestrator.Tests.Shards.AppService;

/// <summary>The judge of bodies is judged first: each kind of fault is found, at its place.</summary>
public sealed class ArmSchemasTests
{
    [Fact]
    public void Site_ThatIsRight_HasNoFault() => Assert.Empty(ArmSchemas.FaultsOfRequest("Microsoft.Web_sites", Good()));

    [Theory]
    [InlineData("misspelt", "/properties/siteConfig/alwayson")]
    [InlineData("missing", "")]
    [InlineData("type", "/properties/siteConfig/numberOfWorkers")]
    [InlineData("readOnly", "/properties/state")]
    [InlineData("enum", "/identity/type")]
    [InlineData("nested", "/properties/siteConfig/appSettings/0/Value")]
    public void Site_ThatIsWrong_HasAFaultAtItsPath(string fault, string path)
    {
        var body = Good();
        var config = body["properties"]!["siteConfig"]!.AsObject();
        switch (fault)
        {
            case "misspelt": config["alwayson"] = true; break;
            case "missing": body.Remove("location"); break;
            case "type": config["numberOfWorkers"] = "1"; break;
            case "readOnly": body["properties"]!["state"] = "Running"; break;
            case "enum": body["identity"]!["type"] = "Userassigned"; break;
            default: config["appSettings"]![0]!["Value"] = "b"; break;
        }

        var faults = ArmSchemas.FaultsOfRequest("Microsoft.Web_sites", body);

        Assert.Contains(faults, found => found.StartsWith($"{path}: ", StringComparison.Ordinal));
        if (fault == "missing") Assert.Contains(faults, found => found.Contains("location", StringComparison.Ordinal));
    }

    private static JsonObject Good() => new()
    {
        ["location"] = "westeurope",
        ["identity"] = new JsonObject { ["type"] = "UserAssigned" },
        ["properties"] = new JsonObject
        {
            ["siteConfig"] = new JsonObject { ["alwaysOn"] = true, ["numberOfWorkers"] = 1, ["appSettings"] = new JsonArray(new JsonObject { ["name"] = "a", ["value"] = "b" }) },
        },
    };
}

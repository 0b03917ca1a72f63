using ShardCloud.ShardRuntime;
using ShardCloud.ShardRuntime.Sidecar;

// The runtime as a program: a router (`--role router`), or a shard beside an application in any language (`--app "node app.js" --endpoint "/rooms/{room}"`,
// docs/any-language.md). A shard in C# is the same library inside an application, see samples/Rooms.
var builder = WebApplication.CreateSlimBuilder(args);
builder.Configuration.AddCommandLine(args, new Dictionary<string, string>
{
    ["--role"] = "ShardCloud:Role",
    ["--shard"] = "ShardCloud:Shard",
    ["--application"] = "ShardCloud:Application",
    ["--member-url"] = "ShardCloud:Member:Url",
    ["--public-url"] = "ShardCloud:Public:Url",
    ["--app"] = "ShardCloud:App:Command",
    ["--app-port"] = "ShardCloud:App:Port",
    ["--app-contract"] = "ShardCloud:App:Contract",
});
builder.Configuration.AddInMemoryCollection(EndpointArguments.Of(args));
builder.AddSidecar();
builder.AddShardRuntime();

var app = builder.Build();
app.UseShardRuntime();
if (!app.MapSidecar()) app.MapGet("/", () => "ShardCloud router\n");
await app.RunAsync();

using ShardCloud.ShardRuntime;

// The runtime without an application: a router (`--role router`). A shard is the same library inside an application, see samples/Rooms.
var builder = WebApplication.CreateSlimBuilder(args);
builder.Configuration.AddCommandLine(args, new Dictionary<string, string>
{
    ["--role"] = "ShardCloud:Role",
    ["--shard"] = "ShardCloud:Shard",
    ["--application"] = "ShardCloud:Application",
    ["--member-url"] = "ShardCloud:Member:Url",
    ["--public-url"] = "ShardCloud:Public:Url",
});
builder.AddShardRuntime();

var app = builder.Build();
app.UseShardRuntime();
app.MapGet("/", () => "ShardCloud router\n");
await app.RunAsync();

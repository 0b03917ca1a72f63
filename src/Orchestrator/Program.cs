using ShardCloud.DurableTask.Handler;
using ShardCloud.Orchestrator;
using ShardCloud.Orchestrator.Management;

// The Functions app: the host calls POST /{function} with an envelope; a call to the management API comes inside one and takes this same pipeline.
var builder = WebApplication.CreateSlimBuilder(args);
builder.Logging.AddFilter("Microsoft.AspNetCore", LogLevel.Warning); // The host logs every invocation already.
builder.Logging.AddFilter("System.Net.Http", LogLevel.Warning);
builder.Services.AddOrchestrator();

var app = builder.Build();
app.UseMiddleware<ManagementGate>();
app.UseRouting();
app.MapManagementApi();
app.MapDurableTaskHandler();
app.Run();

/// <summary>Found by the tests that run the whole pipeline in memory.</summary>
public sealed partial class Program;

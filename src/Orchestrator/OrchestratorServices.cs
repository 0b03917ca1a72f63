using Azure.Core;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;
using ShardCloud.DurableTask.Handler;
using ShardCloud.Identity;
using ShardCloud.Orchestrator.Affinity;
using ShardCloud.Orchestrator.Bootstrapping;
using ShardCloud.Orchestrator.Ending;
using ShardCloud.Orchestrator.Management;
using ShardCloud.Orchestrator.Members;
using ShardCloud.Orchestrator.Migrations;
using ShardCloud.Orchestrator.Rebalancing;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Orchestrator.Scaling;
using ShardCloud.Orchestrator.Shards;
using ShardCloud.Orchestrator.Updates;
using ShardCloud.Packages;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator;

/// <summary>The Orchestrator's parts.</summary>
public static class OrchestratorServices
{
    /// <summary>Version that orchestrations are started under, and the newest that runs here (CONTRIBUTING.md says when it grows). The same is in host.json.</summary>
    public const string OrchestrationVersion = "1.0";

    /// <summary>Adds everything that <c>Program.cs</c> maps.</summary>
    public static IServiceCollection AddOrchestrator(this IServiceCollection services)
    {
        services.AddOptions<OrchestratorSettings>().BindConfiguration(OrchestratorSettings.SectionName).ValidateDataAnnotations().ValidateOnStart();
        services.AddSingleton<IValidateOptions<OrchestratorSettings>, SettingsCheck>();
        services.AddOptions<StorageOptions>().BindConfiguration(StorageOptions.SectionName);
        services.TryAddSingleton(TimeProvider.System);
        AddStores(services);
        services.AddTokens(provider => Settings(provider).Auth, Audiences.Management, Roles.Orchestrator, _ => "orchestrator");

        services.AddSingleton<MapReader>();
        services.AddSingleton<MemberFence>();
        services.AddSingleton<MapHerald>();
        services.AddSingleton(provider => new MemberClient(MemberClient.CreateHttpClient(), provider.GetRequiredService<ITokenSource>()));
        services.AddShardHost();
        services.AddSingleton<MigrationPlanner>();
        services.AddSingleton<BatchWork>();
        services.AddScoped<MigrationsApi>(); // Scoped, for the durable client of each call's envelope.
        services.AddScoped<ShardsApi>();
        services.AddScoped<ReadsApi>();
        services.AddScoped<LevelApi>();
        services.AddScoped<AffinityApi>();
        services.AddSingleton(provider => new PackagesApi(provider.GetRequiredService<PackageStore>(), Settings(provider)));
        services.AddScoped<Replacements>();
        services.AddSingleton<ShardLooks>();
        services.AddSingleton(provider => new SlowShards(Settings(provider).SlowShards));
        services.AddScoped<Drains>();
        services.AddScoped<Endings>();
        services.AddSingleton<UpdateTools>();
        services.AddSingleton<UpdateRounds>();
        services.AddSingleton<UpdateLooks>();
        services.AddScoped<UpdatesApi>();
        services.AddSingleton<AffinityStore>();
        services.AddSingleton<ShardLoads>();
        services.AddSingleton<ScalingRecords>();
        services.AddScoped<Scaler>();
        services.AddScoped<ScalingApi>();
        services.AddSingleton<RebalanceStore>();
        services.AddSingleton<ShardsHold>();
        services.AddSingleton<RebalanceTimer>();
        services.AddSingleton<RecentMoves>();
        services.AddSingleton<ReturnsToSlots>();
        services.AddScoped<Rebalances>();
        services.AddScoped<RebalancesApi>();
        services.AddSingleton<Housekeeping.Orphans>();
        services.AddScoped<Housekeeping.Monitor>();
        return services.AddDurableTaskHandler(AddFunctions);
    }

    /// <summary>Every orchestrator, activity and timer; each has a folder with a function.json of the same name, and a test holds the two together.</summary>
    public static void AddFunctions(DurableTaskHandlerBuilder functions)
    {
        functions.Version = OrchestrationVersion;
        functions
            .AddOrchestrator<Bootstrap>().AddActivity<SurveyCloud>().AddActivity<GrantFirstSlots>().AddActivity<AwaitServing>().AddActivity<PlanFirstPlacement>()
            .AddOrchestrator<CreateShard>().AddActivity<ReserveShardName>().AddActivity<RequestInstance>().AddActivity<AwaitJoin>()
            .AddActivity<DeleteInstance>().AddActivity<CloseOperation>()
            .AddActivity<PlanRehearsal>()
            .AddOrchestrator<MigrateEndpoints>().AddActivity<PlanHandoff>().AddActivity<WarmAndCatchUp>().AddActivity<VerifyDestination>()
            .AddActivity<GoAndAwaitGrant>().AddActivity<CancelHandoff>().AddActivity<PublishAndRetire>().AddActivity<RecordBatch>().AddActivity<RecordMigration>().AddActivity<ReadOutcome>()
            .AddOrchestrator<RemoveShard>().AddActivity<CordonShard>().AddActivity<Uncordon>().AddActivity<PlanRemoval>().AddActivity<AskToLeave>()
            .AddActivity<EndShard>()
            .AddOrchestrator<ReplaceShard>().AddActivity<ConfirmDeath>().AddActivity<AwaitNewcomer>().AddActivity<PlanRefill>().AddActivity<EndDeadInstance>().AddActivity<RecordReplacement>()
            .AddOrchestrator<DrainShard>().AddActivity<BeginDrain>().AddActivity<LookAtDrained>().AddActivity<EndDrained>()
            .AddOrchestrator<UpdateApplication>().AddActivity<LookAtUpdate>().AddActivity<PrepareShards>().AddActivity<RecordShards>().AddActivity<WarmShards>()
            .AddActivity<VerifyStaging>().AddActivity<PlanWave>().AddActivity<WatchGate>().AddActivity<PlanBack>().AddActivity<BeginRemovals>().AddActivity<EndRemovals>()
            .AddActivity<ReadOperation>().AddActivity<FailUpdate>().AddActivity<RecordUpdate>()
            .AddOrchestrator<Rebalance>().AddActivity<AdvanceRebalance>().AddActivity<FailRebalance>()
            .AddOrchestrator<EndCloud>().AddActivity<BeginEnd>().AddActivity<CallOffEnd>().AddActivity<LookAtEnd>().AddActivity<LeaveAll>()
            .AddTimer("Monitor", (services, _, cancellationToken) => services.GetRequiredService<Housekeeping.Monitor>().TickAsync(cancellationToken));
    }

    private static void AddStores(IServiceCollection services)
    {
        // Map and leases go through the client that never repeats a request: a repeated compare-and-swap would take its own first try for
        // somebody else's (TRACES 12 and 25). Records may be repeated.
        services.AddSingleton(provider => StorageClients.Create(provider.GetRequiredService<IOptions<StorageOptions>>().Value, provider.GetRequiredService<TokenCredential>));
        services.AddSingleton(provider => new MapStore(
            Clients(provider).Decisions, Clients(provider).Blobs, Settings(provider).Application, provider.GetRequiredService<TimeProvider>(),
            provider.GetRequiredService<ILogger<MapStore>>()));
        services.AddSingleton(provider => new MemberDirectory(Clients(provider).Decisions, Settings(provider).Application));
        services.AddSingleton(provider => new RecordTable(Clients(provider).Tables, Settings(provider).Application));
        services.AddSingleton(provider => new PackageStore(Clients(provider).Blobs, Settings(provider).Application, provider.GetRequiredService<TimeProvider>()));
        services.AddSingleton<MigrationStore>();
        services.AddSingleton<OperationStore>();
        services.AddSingleton<EndMark>();
        services.AddSingleton<UpdateStore>();
        services.AddSingleton(provider => new PlanStore(Clients(provider).Blobs, Settings(provider).Application));
        services.AddSingleton(provider => new AffinityBlobs(Clients(provider).Blobs, Settings(provider).Application));
        services.AddSingleton<DocumentStore>();
        services.AddSingleton(provider => new RebalancePlans(Clients(provider).Blobs, Settings(provider).Application));
        services.AddSingleton<IdempotencyStore>();
        services.AddSingleton<AuditLog>();
    }

    private static StorageClients Clients(IServiceProvider services) => services.GetRequiredService<StorageClients>();

    private static OrchestratorSettings Settings(IServiceProvider services) => services.GetRequiredService<IOptions<OrchestratorSettings>>().Value;
}

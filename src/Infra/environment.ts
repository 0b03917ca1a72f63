import * as pulumi from "@pulumi/pulumi";
import type { Log } from "./eventHubs";
import type { Ground, Identities } from "./identities";
import type { Storage } from "./storage";

/** App settings by name; a pulumi `Input` each, never a secret. */
export type Environment = Record<string, pulumi.Input<string>>;

/** What members and the Orchestrator are told alike: whose cloud it is, where it is kept, who issues tokens. Names are those of the C# options (tests/Infra.Tests). */
export function commonEnvironment({ settings }: Ground, storage: Storage): Environment {
  return {
    ShardCloud__Application: settings.application,
    ShardCloud__Storage__TableUri: addressOf(storage.leases.name, "table"),
    ShardCloud__Storage__BlobUri: addressOf(storage.snapshots.name, "blob"),
    ShardCloud__Auth__Entra__TenantId: settings.entra.tenantId,
    ShardCloud__Auth__Entra__ClientId: settings.entra.clientId,
    ShardCloud__Auth__Entra__Audience: settings.entra.audience,
  };
}

/** What routers and shards are told alike. */
export function memberEnvironment(ground: Ground, storage: Storage, log: Log, orchestratorUrl: pulumi.Input<string>): Environment {
  const { settings } = ground;
  return {
    ...commonEnvironment(ground, storage),
    ShardCloud__Log__BootstrapServers: log.bootstrapServers,
    ShardCloud__Log__Hub: log.deltas.name,
    ShardCloud__Log__ControlHub: log.control.name,
    ShardCloud__Log__Security: "entra",
    ShardCloud__Log__ThroughputUnits: `${settings.log.throughputUnits}`,
    ShardCloud__Lease__Length: `00:00:${`${settings.leaseSeconds}`.padStart(2, "0")}`.replace("00:00:60", "00:01:00"),
    ShardCloud__Orchestrator__Url: pulumi.interpolate`${orchestratorUrl}/`,
    ShardCloud__Public__TrustedHops: "1", // App Service's front ends, which clients cannot go around.
    ...(settings.telemetry.otlpEndpoint ? { OTEL_EXPORTER_OTLP_ENDPOINT: settings.telemetry.otlpEndpoint } : {}),
  };
}

/** As the API wants them, in a fixed order. */
export function appSettings(environment: Environment): { name: string; value: pulumi.Input<string> }[] {
  return Object.entries(environment).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => ({ name, value }));
}

/** Endpoint of an account. */
export function addressOf(account: pulumi.Input<string>, service: "blob" | "table" | "queue"): pulumi.Output<string> {
  return pulumi.interpolate`https://${account}.${service}.core.windows.net`;
}

/** Telemetry of the Functions host, sent with its identity. The connection string names the destination; with local auth off its key opens nothing. */
export function hostTelemetry(connectionString: pulumi.Input<string>, identities: Identities): Environment {
  return {
    APPLICATIONINSIGHTS_CONNECTION_STRING: connectionString,
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING: pulumi.interpolate`ClientId=${identities.orchestrator.clientId};Authorization=AAD`,
  };
}

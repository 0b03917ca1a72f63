import * as eventhub from "@pulumi/azure-native/eventhub";
import * as pulumi from "@pulumi/pulumi";
import type { Ground } from "./identities";

/** The log, reached by the Kafka protocol with tokens of Entra. */
export interface Log {
  readonly namespace: eventhub.Namespace;
  /** Deltas; its partitions are fixed for the life of the log. */
  readonly deltas: eventhub.EventHub;
  /** Control records: one partition, so that they have one order. */
  readonly control: eventhub.EventHub;
  /** Host and port of the Kafka endpoint. */
  readonly bootstrapServers: pulumi.Output<string>;
}

/** No consumer groups beside the one that Azure makes: members keep their own offsets and never commit any (src/Replication/Shell/KafkaClients.cs). */
export function createLog({ settings, group }: Ground): Log {
  const { partitions, retentionHours, throughputUnits } = settings.log;
  const namespace = new eventhub.Namespace("log", {
    resourceGroupName: group.name,
    location: settings.location,
    sku: { name: "Standard", tier: "Standard", capacity: throughputUnits }, // Basic has no Kafka endpoint.
    kafkaEnabled: true,
    disableLocalAuth: true,
    minimumTlsVersion: "1.2",
    publicNetworkAccess: settings.network.privateEndpoints ? "Disabled" : "Enabled",
    isAutoInflateEnabled: false, // Members keep to their share of the units that they are told of.
  }, { protect: settings.profile === "prod" });
  const hub = (name: string, partitionCount: number) => new eventhub.EventHub(name, {
    resourceGroupName: group.name,
    namespaceName: namespace.name,
    eventHubName: name,
    partitionCount,
    retentionDescription: { cleanupPolicy: "Delete", retentionTimeInHours: retentionHours },
  }, { protect: settings.profile === "prod" });
  return {
    namespace,
    deltas: hub("deltas", partitions),
    control: hub("control", 1),
    bootstrapServers: pulumi.interpolate`${namespace.name}.servicebus.windows.net:9093`,
  };
}

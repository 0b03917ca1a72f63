import * as network from "@pulumi/azure-native/network";
import type { Ground } from "./identities";

/** One network, so that members reach each other at their private ports, and the Orchestrator reaches them there. */
export interface Network {
  readonly network: network.VirtualNetwork;
  readonly routers: network.Subnet;
  /** Of every shard, whatever its plan. */
  readonly shards: network.Subnet;
  readonly functions: network.Subnet;
  readonly endpoints: network.Subnet;
}

export function createNetwork({ settings, group }: Ground): Network {
  const { prefix } = settings.network;
  const whole = new network.VirtualNetwork("network", {
    resourceGroupName: group.name,
    location: settings.location,
    addressSpace: { addressPrefixes: [`${prefix}.0.0/16`] },
  }, { ignoreChanges: ["subnets"] }); // They are resources of their own, and Azure lists them here too.

  let previous: network.Subnet | undefined;
  const subnet = (name: string, addressPrefix: string, delegatedTo?: string) => {
    // One after the other: Azure refuses two changes of one network at the same time.
    previous = new network.Subnet(name, {
      resourceGroupName: group.name,
      virtualNetworkName: whole.name,
      subnetName: name,
      addressPrefix,
      delegations: delegatedTo ? [{ name: "service", serviceName: delegatedTo }] : [],
      privateEndpointNetworkPolicies: "Disabled",
    }, { dependsOn: previous ? [previous] : [] });
    return previous;
  };
  return {
    network: whole,
    routers: subnet("routers", `${prefix}.1.0/24`, "Microsoft.Web/serverFarms"),
    shards: subnet("shards", `${prefix}.2.0/23`, "Microsoft.Web/serverFarms"),
    functions: subnet("functions", `${prefix}.4.0/24`, "Microsoft.App/environments"), // What Flex Consumption wants.
    endpoints: subnet("endpoints", `${prefix}.5.0/24`),
  };
}

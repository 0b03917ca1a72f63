import * as network from "@pulumi/azure-native/network";
import * as privatedns from "@pulumi/azure-native/privatedns";
import * as pulumi from "@pulumi/pulumi";
import type { Log } from "./eventHubs";
import type { Ground } from "./identities";
import type { Network } from "./network";
import type { Storage } from "./storage";

const zones = {
  blob: "privatelink.blob.core.windows.net",
  queue: "privatelink.queue.core.windows.net",
  table: "privatelink.table.core.windows.net",
  namespace: "privatelink.servicebus.windows.net",
} as const;
type Service = keyof typeof zones;

/** Storage and log inside the network, and the names by which everybody there finds them. What starts before they are there would find nothing: it depends on what this returns. */
export function createPrivateEndpoints({ settings, group }: Ground, net: Network, storage: Storage, log: Log): pulumi.Resource[] {
  if (!settings.network.privateEndpoints) return [];
  const zoneOf = new Map<Service, privatedns.PrivateZone>();
  const links: pulumi.Resource[] = [];
  for (const [service, name] of Object.entries(zones) as [Service, string][]) {
    const zone = new privatedns.PrivateZone(`zone-${service}`, { resourceGroupName: group.name, location: "global", privateZoneName: name });
    links.push(new privatedns.VirtualNetworkLink(`zone-${service}`, {
      resourceGroupName: group.name,
      location: "global",
      privateZoneName: zone.name,
      virtualNetwork: { id: net.network.id },
      registrationEnabled: false,
    }));
    zoneOf.set(service, zone);
  }

  const endpoint = (name: string, of: pulumi.Input<string>, service: Service): pulumi.Resource => {
    const created = new network.PrivateEndpoint(name, {
      resourceGroupName: group.name,
      location: settings.location,
      subnet: { id: net.endpoints.id },
      privateLinkServiceConnections: [{ name, privateLinkServiceId: of, groupIds: [service] }],
    });
    return new network.PrivateDnsZoneGroup(name, {
      resourceGroupName: group.name,
      privateEndpointName: created.name,
      privateDnsZoneGroupName: "default",
      privateDnsZoneConfigs: [{ name: service, privateDnsZoneId: zoneOf.get(service)!.id }],
    });
  };
  return [
    ...links,
    endpoint("leases-table", storage.leases.id, "table"),
    endpoint("tasks-blob", storage.tasks.id, "blob"),
    endpoint("tasks-queue", storage.tasks.id, "queue"),
    endpoint("tasks-table", storage.tasks.id, "table"),
    endpoint("snapshots-blob", storage.snapshots.id, "blob"),
    endpoint("log", log.namespace.id, "namespace"),
  ];
}

import * as storage from "@pulumi/azure-native/storage";
import type { Ground } from "./identities";

/** Three accounts, so that what may stop every shard at once shares its fate and its limits with nothing else. */
export interface Storage {
  /** Tables of leases, map and records. Zone-redundant: without them the owners serve for 0.9 leases. */
  readonly leases: storage.StorageAccount;
  /** The Functions host and its task hub, and the Functions app's own package. */
  readonly tasks: storage.StorageAccount;
  /** Blobs of snapshots, the map's snapshots, keys of the applications' cookies, and packages. Packages are uploaded from outside, so it is never behind an endpoint only. */
  readonly snapshots: storage.StorageAccount;
  /** Where the Functions app's package is. */
  readonly deployments: storage.BlobContainer;
  /** Where the application's packages and the routers' are; the runtime knows it by this name. */
  readonly packages: storage.BlobContainer;
  /** Containers that members write, by the names that the runtime knows. */
  readonly memberContainers: Readonly<Record<string, storage.BlobContainer>>;
}

export function createStorage(ground: Ground): Storage {
  const { settings } = ground;
  const isPrivate = settings.network.privateEndpoints;
  const replication = settings.profile === "prod" ? "Standard_ZRS" : "Standard_LRS";
  const leases = account(ground, "leases", "Standard_ZRS", !isPrivate);
  const tasks = account(ground, "tasks", replication, !isPrivate);
  const snapshots = account(ground, "snapshots", replication, true);
  // What was uploaded and never published (docs/versions.md). Published versions stay: shards run them.
  new storage.ManagementPolicy("forgotten-uploads", {
    resourceGroupName: ground.group.name,
    accountName: snapshots.name,
    managementPolicyName: "default",
    policy: {
      rules: [{
        name: "forgotten-uploads",
        enabled: true,
        type: "Lifecycle",
        definition: {
          filters: { blobTypes: ["blockBlob"], prefixMatch: [`packages/${settings.application}/incoming/`] },
          actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: 2 } } },
        },
      }],
    },
  });
  return {
    leases, tasks, snapshots,
    deployments: container(ground, "deployments", tasks),
    packages: container(ground, "packages", snapshots),
    memberContainers: Object.fromEntries(["snapshots", "shardmap", "dataprotection"].map((name) => [name, container(ground, name, snapshots)])),
  };
}

function account({ settings, group }: Ground, name: string, sku: string, isPublic: boolean): storage.StorageAccount {
  return new storage.StorageAccount(`sc${name}`, {
    resourceGroupName: group.name,
    location: settings.location,
    kind: "StorageV2",
    sku: { name: sku },
    accessTier: "Hot",
    allowSharedKeyAccess: false,
    allowBlobPublicAccess: false,
    allowCrossTenantReplication: false,
    defaultToOAuthAuthentication: true,
    enableHttpsTrafficOnly: true,
    minimumTlsVersion: "TLS1_2",
    publicNetworkAccess: isPublic ? "Enabled" : "Disabled",
  }, { protect: settings.profile === "prod" && name !== "tasks" });
}

function container({ group }: Ground, name: string, of: storage.StorageAccount): storage.BlobContainer {
  return new storage.BlobContainer(name, { resourceGroupName: group.name, accountName: of.name, containerName: name, publicAccess: "None" });
}

import * as pulumi from "@pulumi/pulumi";
import type { Log } from "./eventHubs";
import type { Ground, Identities } from "./identities";
import type { Monitoring } from "./monitoring";
import type { Network } from "./network";
import { grant } from "./roles";
import type { Storage } from "./storage";

/** Who may do what, and nothing beside it. What starts without its roles fails: sites depend on what this returns. */
export function grantAccess({ settings, group }: Ground, { orchestrator, members, deploy, preview }: Identities, storage: Storage, log: Log, net: Network, { insights }: Monitoring): { forOrchestrator: pulumi.Resource[]; forMembers: pulumi.Resource[]; forUploads: pulumi.Resource[] } {
  const asOrchestrator = orchestrator.principalId, asMember = members.principalId, asDeploy = deploy.principalId;
  return {
    forOrchestrator: [
      grant("orchestrator", asOrchestrator, "tableDataContributor", "leases", storage.leases.id), // Map, leases, records.
      grant("orchestrator", asOrchestrator, "blobDataContributor", "snapshots", storage.snapshots.id), // The map's snapshots, packages, and signatures for their upload, which only an account gives.
      grant("orchestrator", asOrchestrator, "blobDataOwner", "tasks", storage.tasks.id), // The Functions host.
      grant("orchestrator", asOrchestrator, "queueDataContributor", "tasks", storage.tasks.id),
      grant("orchestrator", asOrchestrator, "tableDataContributor", "tasks", storage.tasks.id),
      grant("orchestrator", asOrchestrator, "monitoringMetricsPublisher", "insights", insights.id),
      grant("orchestrator", asOrchestrator, "websiteContributor", "group", group.id), // It makes and deletes shards: the sites do not exist yet.
      grant("orchestrator", asOrchestrator, "managedIdentityOperator", "members", members.id), // And attaches the members' identity to them.
      grant("orchestrator", asOrchestrator, "networkContributor", "shards", net.shards.id), // And integrates them with their subnet.
    ],
    forMembers: [
      grant("members", asMember, "tableDataContributor", "leases", storage.leases.id),
      ...Object.entries(storage.memberContainers).map(([name, container]) => grant("members", asMember, "blobDataContributor", name, container.id)),
      grant("members", asMember, "blobDataReader", "packages", storage.packages.id),
      grant("members", asMember, "eventHubsDataSender", "deltas", log.deltas.id),
      grant("members", asMember, "eventHubsDataReceiver", "deltas", log.deltas.id),
      grant("members", asMember, "eventHubsDataSender", "control", log.control.id),
      grant("members", asMember, "eventHubsDataReceiver", "control", log.control.id),
    ],
    forUploads: [
      grant("deploy", asDeploy, "contributor", "group", group.id), // To change what is there. It may not give roles: a change of these is applied by a person.
      grant("preview", preview.principalId, "reader", "group", group.id),
      grant("deploy", asDeploy, "blobDataContributor", "packages", storage.packages.id),
      ...settings.uploaders.map((person) => grant(`uploader-${person.slice(0, 8)}`, person, "blobDataContributor", "packages", storage.packages.id, true)),
    ],
  };
}

import * as applicationinsights from "@pulumi/azure-native/applicationinsights";
import * as monitor from "@pulumi/azure-native/monitor";
import * as operationalinsights from "@pulumi/azure-native/operationalinsights";
import * as pulumi from "@pulumi/pulumi";
import type { Ground } from "./identities";

/** Where logs and metrics go. */
export interface Monitoring {
  readonly workspace: operationalinsights.Workspace;
  /** Of the Functions host; telemetry is taken from identities only. */
  readonly insights: applicationinsights.Component;
}

export function createMonitoring({ settings, group }: Ground): Monitoring {
  const workspace = new operationalinsights.Workspace("logs", {
    resourceGroupName: group.name,
    location: settings.location,
    sku: { name: "PerGB2018" },
    retentionInDays: settings.telemetry.retentionDays,
    features: { disableLocalAuth: true, enableLogAccessUsingOnlyResourcePermissions: true },
  });
  const insights = new applicationinsights.Component("insights", {
    resourceGroupName: group.name,
    location: settings.location,
    kind: "web",
    applicationType: "web",
    workspaceResourceId: workspace.id,
    ingestionMode: "LogAnalytics",
    disableLocalAuth: true,
  });
  return { workspace, insights };
}

/** Sends what a resource says of itself to the workspace: `logs` by category group or category. */
export function diagnose(name: string, of: pulumi.Input<string>, { workspace }: Monitoring, logs: readonly ({ categoryGroup: string } | { category: string })[]): void {
  new monitor.DiagnosticSetting(`diagnostics-${name}`, {
    resourceUri: of,
    name: "shardcloud",
    workspaceId: workspace.id,
    logs: logs.map((log) => ({ ...log, enabled: true })),
    metrics: [{ category: "AllMetrics", enabled: true }],
  });
}

/** Category of all logs, or of those that tell who did what. */
export const everything = { categoryGroup: "allLogs" } as const;
export const audit = { categoryGroup: "audit" } as const;

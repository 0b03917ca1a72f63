import * as applicationinsights from "@pulumi/azure-native/applicationinsights";
import type { Ground } from "./identities";
import type { Monitoring } from "./monitoring";
import { guidOf } from "./settings";

/** One chart or table of the workbook. */
interface Chart {
  readonly title: string;
  readonly query: string;
  readonly as: "timechart" | "table";
}

const always: readonly Chart[] = [
  { title: "Moves, replacements and updates that began", as: "timechart", query: "AppRequests | where Name in ('MigrateEndpoints', 'ReplaceShard', 'CreateShard', 'RemoveShard', 'UpdateApplication') | summarize dcount(OperationId) by Name, bin(TimeGenerated, 5m)" },
  { title: "Functions that failed", as: "table", query: "AppRequests | where Success == false | summarize Failed = count(), Last = max(TimeGenerated) by Name | order by Failed" },
  { title: "Routers: answers by class", as: "timechart", query: "AppServiceHTTPLogs | summarize count() by strcat(tostring(ScStatus / 100), 'xx'), bin(TimeGenerated, 5m)" },
  { title: "Routers: what they say, by code", as: "table", query: "AppServiceConsoleLogs | extend Code = extract('(SC[0-9]{4})', 1, ResultDescription) | where isnotempty(Code) | summarize Times = count(), Last = max(TimeGenerated) by Code | order by Times" },
];

const ofMembers: readonly Chart[] = [
  { title: "Requests that wait", as: "timechart", query: "AppMetrics | where Name == 'shardcloud.parking.requests' | summarize max(Max) by AppRoleInstance, bin(TimeGenerated, 1m)" },
  { title: "Log: seconds behind its end", as: "timechart", query: "AppMetrics | where Name == 'shardcloud.log.lag.duration' | summarize max(Max) by AppRoleInstance, bin(TimeGenerated, 1m)" },
  { title: "Log: from hand-over to acknowledgement, ms", as: "timechart", query: "AppMetrics | where Name == 'shardcloud.log.append.duration' | summarize 1000 * sum(Sum) / sum(ItemCount) by bin(TimeGenerated, 1m)" },
  { title: "Open sockets", as: "timechart", query: "AppMetrics | where Name == 'shardcloud.sockets.open' | summarize sum(Max) by bin(TimeGenerated, 1m)" },
];

/** One page that answers: what moved, what failed, what waits. */
export function createWorkbook({ settings, group }: Ground, { workspace }: Monitoring): void {
  const charts = settings.telemetry.otlpEndpoint ? [...always, ...ofMembers] : always;
  new applicationinsights.Workbook("workbook", {
    resourceGroupName: group.name,
    location: settings.location,
    resourceName: group.id.apply((id) => guidOf(`workbook ${id}`)),
    kind: "shared",
    category: "workbook",
    displayName: `ShardCloud: ${settings.application}`,
    sourceId: workspace.id,
    serializedData: workspace.id.apply((id) => JSON.stringify({ version: "Notebook/1.0", items: charts.map((chart) => itemOf(chart, id)), fallbackResourceIds: [id] })),
  });
}

function itemOf({ title, query, as }: Chart, workspaceId: string) {
  return {
    type: 3, // A query.
    name: title,
    content: {
      version: "KqlItem/1.0", title, query, size: 0, queryType: 0, resourceType: "microsoft.operationalinsights/workspaces", crossComponentResources: [workspaceId],
      visualization: as, timeContext: { durationMs: 3_600_000 },
    },
  };
}

import * as monitor from "@pulumi/azure-native/monitor";
import * as pulumi from "@pulumi/pulumi";
import type { Log } from "./eventHubs";
import type { Ground } from "./identities";
import type { Monitoring } from "./monitoring";
import type { Orchestrator } from "./orchestrator";
import type { Routers } from "./routers";
import type { Storage } from "./storage";

/** A query over the workspace; a row that it returns is a fault. */
interface Query {
  readonly name: string;
  readonly says: string;
  readonly severity: 1 | 2 | 3;
  /** Kusto. A summary is one row even of nothing, so each ends in a condition. */
  readonly text: string;
}

/** From what the Functions host writes of every invocation: the names are those of the functions (src/Orchestrator/Functions). */
const orchestratorQueries: readonly Query[] = [
  { name: "shard-lost", severity: 1, says: "A shard's lease ended and its backup took over: it is being replaced.", text: "AppRequests | where Name == 'ReplaceShard' | summarize Replaced = dcount(OperationId) | where Replaced > 0" },
  { name: "orchestrator-fails", severity: 2, says: "Functions of the Orchestrator fail: nothing is moved, created or replaced until they do not. Requests go on.", text: "AppRequests | where Success == false | summarize Failed = count() | where Failed > 0" },
  { name: "orchestrator-silent", severity: 1, says: "The Orchestrator's timer has not run for five minutes: it does not start, or its host is away. Requests go on; nobody replaces a lost shard.", text: "AppRequests | where Name == 'Monitor' | summarize Ran = count() | where Ran == 0" },
];

/** From what members export by OTLP (docs/metrics.md), where a collector writes it here. */
const memberQueries: readonly Query[] = [
  { name: "requests-parked", severity: 2, says: "Requests wait for an owner that may answer them.", text: "AppMetrics | where Name == 'shardcloud.parking.requests' | summarize Parked = max(Max) | where Parked > 100" },
  { name: "log-lag", severity: 2, says: "A replica is more than 10 s behind the end of the log: answers wait, and a take-over would last longer.", text: "AppMetrics | where Name == 'shardcloud.log.lag.duration' | summarize Seconds = max(Max) | where Seconds > 10" },
];

/** What is read from Azure's own metrics. */
interface Measure {
  readonly name: string;
  readonly says: string;
  readonly severity: 1 | 2 | 3;
  readonly of: pulumi.Input<string>;
  readonly namespace: string;
  readonly metric: string;
  readonly over: "Total" | "Average";
  readonly operator: "GreaterThan" | "LessThan";
  readonly threshold: number;
}

export function createAlerts(ground: Ground, monitoring: Monitoring, storage: Storage, log: Log, routers: Routers, orchestrator: Orchestrator): void {
  const { settings, group } = ground;
  const people = new monitor.ActionGroup("people", {
    resourceGroupName: group.name,
    location: "Global",
    groupShortName: "shardcloud",
    enabled: true,
    emailReceivers: settings.alerts.emails.map((emailAddress, index) => ({ name: `mail-${index + 1}`, emailAddress, useCommonAlertSchema: true })),
  });

  const measures: Measure[] = [
    { name: "lease-store", severity: 1, says: "The account of leases and map answers badly: past 0.9 leases owners stop serving.", of: storage.leases.id, namespace: "Microsoft.Storage/storageAccounts", metric: "Availability", over: "Average", operator: "LessThan", threshold: 99 },
    { name: "log-throttled", severity: 2, says: "The log holds answers back: raise shardcloud:log.throughputUnits.", of: log.namespace.id, namespace: "Microsoft.EventHub/namespaces", metric: "ThrottledRequests", over: "Total", operator: "GreaterThan", threshold: 0 },
    ...routers.sites.map((router): Measure => ({ name: `${router.name}-fails`, severity: 1, says: "Clients get 5xx. 503 (SC4003, SC4004) is a request that waited for an owner for too long.", of: router.site.id, namespace: "Microsoft.Web/sites", metric: "Http5xx", over: "Total", operator: "GreaterThan", threshold: 10 })),
  ];
  for (const measure of measures) createMeasure(ground, people, measure);
  const queries = [...orchestratorQueries, ...(settings.telemetry.otlpEndpoint ? memberQueries : [])];
  for (const query of queries) createQuery(ground, people, monitoring, query, orchestrator);
}

function createMeasure({ group }: Ground, people: monitor.ActionGroup, { name, says, severity, of, namespace, metric, over, operator, threshold }: Measure): void {
  new monitor.MetricAlert(name, {
    resourceGroupName: group.name,
    location: "global",
    description: says,
    severity,
    enabled: true,
    scopes: [of],
    evaluationFrequency: "PT1M",
    windowSize: "PT5M",
    autoMitigate: true,
    criteria: {
      odataType: "Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria",
      allOf: [{ criterionType: "StaticThresholdCriterion", name: "threshold", metricNamespace: namespace, metricName: metric, timeAggregation: over, operator, threshold }],
    },
    actions: [{ actionGroupId: people.id }],
  });
}

function createQuery({ settings, group }: Ground, people: monitor.ActionGroup, { workspace }: Monitoring, { name, says, severity, text }: Query, orchestrator: Orchestrator): void {
  new monitor.ScheduledQueryRule(name, {
    resourceGroupName: group.name,
    location: settings.location,
    kind: "LogAlert",
    description: says,
    severity,
    enabled: true,
    scopes: [workspace.id],
    evaluationFrequency: "PT5M",
    windowSize: "PT5M",
    autoMitigate: true,
    skipQueryValidation: true, // Tables come into being with their first row.
    criteria: { allOf: [{ query: text, timeAggregation: "Count", operator: "GreaterThan", threshold: 0, failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 } }] },
    actions: { actionGroups: [people.id] },
  }, { dependsOn: [orchestrator.site] });
}

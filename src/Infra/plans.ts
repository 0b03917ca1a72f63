import * as web from "@pulumi/azure-native/web";
import type { Ground } from "./identities";
import type { PlanSize } from "./settings";

/** Linux workers of App Service. */
export function createPlan({ settings, group }: Ground, name: string, size: PlanSize, workers: number, perSite: boolean): web.AppServicePlan {
  return new web.AppServicePlan(name, {
    resourceGroupName: group.name,
    location: settings.location,
    kind: "linux",
    reserved: true, // Linux, to the API.
    sku: { name: size, tier: size === "S1" ? "Standard" : size === "P0v3" ? "Premium0V3" : "PremiumV3", capacity: workers },
    perSiteScaling: perSite,
    zoneRedundant: settings.profile === "prod",
  });
}

/** Plans that are empty of shards: the Orchestrator makes a site for each, on one worker of those that the plan has. */
export function createShardPlans(ground: Ground): web.AppServicePlan[] {
  const { sku, plans, workers } = ground.settings.shards;
  return Array.from({ length: plans }, (_, index) => createPlan(ground, `shards-${index + 1}`, sku, workers, true));
}

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { guidOf, readSettings, settingNames, SettingsError } from "../settings";

const entra = { tenantId: "55555555-5555-5555-5555-555555555555", clientId: "66666666-6666-6666-6666-666666666666" };

function read(given: Record<string, unknown>) {
  const all: Record<string, unknown> = { location: "westeurope", entra, ...given };
  return readSettings({ get: (key) => all[key] });
}

describe("settings", () => {
  test("dev and prod have defaults of their own", () => {
    const [dev, prod] = [read({}), read({ profile: "prod" })];
    assert.deepEqual([dev.routers, dev.shards, dev.log, dev.network.privateEndpoints, dev.telemetry.retentionDays],
      [{ sku: "P0v3", instances: 1, instancesMax: 1 }, { sku: "P0v3", plans: 1, workers: 2 }, { partitions: 16, retentionHours: 24, throughputUnits: 1 }, false, 30]);
    assert.deepEqual([prod.routers, prod.shards, prod.log, prod.network.privateEndpoints, prod.telemetry.retentionDays],
      [{ sku: "P0v3", instances: 2, instancesMax: 2 }, { sku: "P1v3", plans: 1, workers: 3 }, { partitions: 16, retentionHours: 168, throughputUnits: 2 }, true, 90]);
    assert.equal(dev.entra.audience, "api://66666666-6666-6666-6666-666666666666");
    assert.equal(dev.github, undefined);
  });

  test("the region may be that of the provider", () => assert.equal(readSettings({ get: (key) => (key === "entra" ? entra : undefined) }, "northeurope").location, "northeurope"));

  test("numbers may come as text, as the command line sets them", () => assert.equal(read({ leaseSeconds: "30" }).leaseSeconds, 30));

  const wrong: Record<string, [Record<string, unknown>, RegExp]> = {
    "no tenant": [{ entra: { clientId: entra.clientId } }, /shardcloud:entra.tenantId is missing: it must be a GUID/],
    "no registration": [{ entra: undefined }, /shardcloud:entra.clientId is missing/],
    "an unknown profile": [{ profile: "test" }, /shardcloud:profile is "test": it must be one of dev, prod/],
    "a name that no map takes": [{ application: "Rooms!" }, /shardcloud:application is "Rooms!"/],
    "too many partitions": [{ log: { partitions: 33 } }, /shardcloud:log.partitions is 33: it must be a whole number from 1 to 32/],
    "half a partition": [{ log: { partitions: 1.5 } }, /log.partitions is 1.5/],
    "a size without networks": [{ shards: { sku: "B1" } }, /shards.sku is "B1": it must be one of S1, P0v3/],
    "fewer at most than at least": [{ routers: { instances: 3, instancesMax: 2 } }, /routers.instancesMax is 2: it must be a whole number from 3 to 30/],
    "a public network": [{ network: { prefix: "8.8" } }, /network.prefix is "8.8"/],
    "a network of no numbers": [{ network: { prefix: "10.400" } }, /network.prefix is "10.400"/],
    "a collector with a password": [{ telemetry: { otlpEndpoint: "https://me:word@collector" } }, /telemetry.otlpEndpoint is .* without credentials/],
    "a list that is none": [{ alerts: { emails: "a@example.com" } }, /alerts.emails is "a@example.com": it must be a list/],
    "a repository without its owner": [{ github: { repository: "name" } }, /github.repository is "name": it must be owner\/name/],
    "two owners of a name": [{ domain: "app.example.com", frontDoor: true }, /domain and shardcloud:frontDoor are both set/],
    "one worker in several zones": [{ profile: "prod", shards: { workers: 1 } }, /needs at least 2 workers/],
    "a small size in several zones": [{ profile: "prod", routers: { sku: "S1" } }, /size S1 cannot be zone-redundant/],
  };
  for (const [name, [given, says]] of Object.entries(wrong)) test(`${name} is refused`, () => assert.throws(() => read(given), (error) => error instanceof SettingsError && says.test(error.message)));

  test("all that is wrong is said at once", () => assert.throws(() => read({ profile: "x", leaseSeconds: 1, entra: {} }), /^Error: 4 setting\(s\) cannot be used:/));

  test("a GUID of a text is the same each time, and another for another text", () => {
    assert.equal(guidOf("a"), guidOf("a"));
    assert.notEqual(guidOf("a"), guidOf("b"));
  });
});

describe("documents", () => {
  const document = readFileSync(join(__dirname, "../../../docs/operating/deploy.md"), "utf8");

  test("every setting is in the table, and no other", () => {
    const all = read({ domain: "app.example.com", github: { repository: "owner/name" }, telemetry: { otlpEndpoint: "http://collector" } });
    const names = Object.entries(all).flatMap(([name, value]) => (typeof value === "object" && !Array.isArray(value) ? Object.keys(value as object).map((inner) => `${name}.${inner}`) : [name]));
    const table = document.slice(document.indexOf("| setting | default | what |"), document.indexOf("Front Door: it carries"));
    const said = table.split("\n").slice(2).flatMap((row) => [...(row.split("|")[1] ?? "").matchAll(/`([^`]+)`/g)].map((match) => match[1]!));
    assert.deepEqual(said.sort(), names.sort());
    assert.deepEqual([...new Set(names.map((name) => name.split(".")[0]!))].sort(), [...settingNames].sort());
  });

  test("every rule is in the table", () => assert.equal(document.slice(document.indexOf("| rule | fires when"), document.indexOf("## What it costs")).trim().split("\n").length - 2, 8));
});

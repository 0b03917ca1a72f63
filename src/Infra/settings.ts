import { createHash } from "node:crypto";

/** Everything that a stack may choose. `readSettings` fills in defaults and refuses what cannot work. */
export interface Settings {
  /** `dev`: cheap and open by identity. `prod`: zone-redundant, data behind private endpoints. Moves the defaults below (dev | prod). */
  readonly profile: Profile;
  /** Azure region, e.g. `westeurope`. Default: that of `azure-native:location`. */
  readonly location: string;
  /** Name of the application: 1 to 40 of a-z, 0-9 and `-`. Key of its map and packages. Default `rooms`. */
  readonly application: string;
  /** The Entra application that tokens of the Orchestrator and the members are for. Required. */
  readonly entra: {
    /** Directory (tenant) id, a GUID. */
    readonly tenantId: string;
    /** Application (client) id of the registration, a GUID. */
    readonly clientId: string;
    /** Application id URI. Default `api://{clientId}`. */
    readonly audience: string;
  };
  /** The Event Hub of deltas. */
  readonly log: {
    /** Partitions, 1 to 32; fixed for the life of the log. Default 16. */
    readonly partitions: number;
    /** How long the log is kept, 1 to 168 hours. Snapshots are renewed within a quarter of it. Default 24 | 168. */
    readonly retentionHours: number;
    /** Throughput units, 1 to 40; each is 1 MB/s and 1,000 records/s in. Default 1 | 2. */
    readonly throughputUnits: number;
  };
  /** Members with `Role=Router`. */
  readonly routers: {
    /** Size of a worker. Default P0v3. */
    readonly sku: PlanSize;
    /** Fewest workers, 1 to 30. Default 1 | 2. */
    readonly instances: number;
    /** Most workers; above `instances` they follow the load. Default: `instances`. */
    readonly instancesMax: number;
  };
  /** Room for shards; the Orchestrator makes and removes them. */
  readonly shards: {
    /** Size of a worker. Default P0v3 | P1v3. */
    readonly sku: PlanSize;
    /** Plans, 1 to 10: shards are spread over them. Default 1. */
    readonly plans: number;
    /** Workers of each plan, 1 to 30; a shard runs on one of them. Default 2 | 3. */
    readonly workers: number;
  };
  /** How long a member's lease is, 5 to 60 s. Default 15. */
  readonly leaseSeconds: number;
  /** The virtual network. */
  readonly network: {
    /** First two numbers of its addresses; it takes the whole /16. Default `10.40`. */
    readonly prefix: string;
    /** Storage and log are reached through private endpoints, and only so. Default false | true. */
    readonly privateEndpoints: boolean;
  };
  /** Zip files that `.github/scripts/build-ground.sh` makes, relative to this folder. */
  readonly packages: {
    /** The Functions app. Default `../../artifacts/ground/orchestrator.zip`. */
    readonly orchestrator: string;
    /** The router. Default `../../artifacts/ground/router.zip`. */
    readonly router: string;
    /** First version of the application, with `shardcloud.json` at its root (docs/versions.md). Default `../../artifacts/ground/application.zip`. */
    readonly application: string;
  };
  /** People who run `pulumi up`, by their object ids: they may upload packages. GitHub's workflows may anyway. Default none. */
  readonly uploaders: readonly string[];
  /** Who is told. */
  readonly alerts: {
    /** Addresses; none: rules fire and show in the portal only. Default none. */
    readonly emails: readonly string[];
  };
  /** Telemetry. */
  readonly telemetry: {
    /** Days that logs are kept, 30 to 730. Default 30 | 90. */
    readonly retentionDays: number;
    /** An OpenTelemetry collector that members export to (docs/metrics.md) and that writes to this Application Insights. Default none; then rules and charts that read members' metrics are left out. */
    readonly otlpEndpoint: string | undefined;
  };
  /** Front Door in front of the routers for HTTP; sockets and event streams keep an entry of their own. Default false. */
  readonly frontDoor: boolean;
  /** Host name of your own for the routers, with a managed certificate; its CNAME and TXT records must exist before. Not together with `frontDoor`. Default none. */
  readonly domain: string | undefined;
  /** Repository whose workflows may log in: in these environments as the deploy identity, in `preview` as the one that only reads. Default none. */
  readonly github: {
    /** `owner/name`. */
    readonly repository: string;
    /** Environments of that repository, at most 19, without `preview`. Default `production`, `production-waves`. */
    readonly environments: readonly string[];
  } | undefined;
}

export type Profile = "dev" | "prod";

/** Linux sizes with virtual network integration, always-on and more than one worker. */
export const planSizes = ["S1", "P0v3", "P1v3", "P2v3", "P3v3"] as const;
export type PlanSize = (typeof planSizes)[number];

/** Where raw values come from: `pulumi.Config`, or an object in tests. Objects are parsed JSON. */
export interface RawSettings {
  get(key: string): unknown;
}

export class SettingsError extends Error {}

const guid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const known = ["profile", "location", "application", "entra", "log", "routers", "shards", "leaseSeconds", "network", "packages", "uploaders", "alerts", "telemetry", "frontDoor", "domain", "github"];

/** The names that `shardcloud:` settings may have. */
export const settingNames: readonly string[] = known;

/**
 * Reads and checks all settings.
 * @throws SettingsError with one line for each value that cannot work: its name, what it is, what it may be.
 */
export function readSettings(raw: RawSettings, defaultLocation?: string): Settings {
  const faults: string[] = [];
  const read = new Reader(raw, faults);
  const profile = read.oneOf("profile", ["dev", "prod"] as const, "dev");
  const byProfile = <T>(dev: T, prod: T): T => (profile === "prod" ? prod : dev);

  const clientId = read.text("entra.clientId", guid, "a GUID: the application (client) id of the Orchestrator's registration (docs/operating/deploy.md, step 1)");
  const instances = read.whole("routers.instances", 1, 30, byProfile(1, 2));
  const repository = read.optional("github.repository", /^[\w.-]+\/[\w.-]+$/, "owner/name");
  const settings: Settings = {
    profile,
    location: read.text("location", /^[a-z0-9]{3,40}$/, "a region without spaces, e.g. westeurope; azure-native:location serves too", defaultLocation),
    application: read.text("application", /^[a-z0-9-]{1,40}$/, "1 to 40 of a-z, 0-9 and '-'", "rooms"),
    entra: {
      tenantId: read.text("entra.tenantId", guid, "a GUID: the directory (tenant) id"),
      clientId,
      audience: read.optional("entra.audience", /^(api|https):\/\/\S+$/, "an application id URI, e.g. api://shardcloud") ?? `api://${clientId}`,
    },
    log: {
      partitions: read.whole("log.partitions", 1, 32, 16),
      retentionHours: read.whole("log.retentionHours", 1, 168, byProfile(24, 168)),
      throughputUnits: read.whole("log.throughputUnits", 1, 40, byProfile(1, 2)),
    },
    routers: {
      sku: read.oneOf("routers.sku", planSizes, "P0v3"),
      instances,
      instancesMax: read.whole("routers.instancesMax", instances, 30, instances),
    },
    shards: {
      sku: read.oneOf("shards.sku", planSizes, byProfile<PlanSize>("P0v3", "P1v3")),
      plans: read.whole("shards.plans", 1, 10, 1),
      workers: read.whole("shards.workers", 1, 30, byProfile(2, 3)),
    },
    leaseSeconds: read.whole("leaseSeconds", 5, 60, 15),
    network: {
      prefix: read.text("network.prefix", /^(10\.(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)|172\.(1[6-9]|2\d|3[01])|192\.168)$/, "the first two numbers of a private network, e.g. 10.40", "10.40"),
      privateEndpoints: read.flag("network.privateEndpoints", byProfile(false, true)),
    },
    packages: {
      orchestrator: read.text("packages.orchestrator", /\.zip$/, "path of a zip file", "../../artifacts/ground/orchestrator.zip"),
      router: read.text("packages.router", /\.zip$/, "path of a zip file", "../../artifacts/ground/router.zip"),
      application: read.text("packages.application", /\.zip$/, "path of a zip file", "../../artifacts/ground/application.zip"),
    },
    uploaders: read.list("uploaders", guid, 20, "object ids of users, GUIDs", []),
    alerts: { emails: read.list("alerts.emails", /^[^@\s]+@[^@\s]+\.[^@\s]+$/, 10, "e-mail addresses", []) },
    telemetry: {
      retentionDays: read.whole("telemetry.retentionDays", 30, 730, byProfile(30, 90)),
      otlpEndpoint: read.optional("telemetry.otlpEndpoint", /^https?:\/\/[^\s@]+$/, "an address without credentials, e.g. http://collector.internal:4317"),
    },
    frontDoor: read.flag("frontDoor", false),
    domain: read.optional("domain", /^[a-z0-9-]+(\.[a-z0-9-]+)+$/, "a host name, e.g. app.example.com"),
    github: repository === undefined ? undefined : {
      repository,
      environments: read.list("github.environments", /^(?!preview$)[\w.-]+$/, 19, "names of environments, without preview", ["production", "production-waves"]),
    },
  };
  if (settings.frontDoor && settings.domain) faults.push("shardcloud:domain and shardcloud:frontDoor are both set: the domain is bound to the routers themselves. Bind it to Front Door by hand, or switch one off.");
  const isZonal = settings.profile === "prod";
  if (isZonal && settings.shards.sku === "S1" || isZonal && settings.routers.sku === "S1") faults.push("A plan of size S1 cannot be zone-redundant, which profile prod asks for: take P0v3 or above, or profile dev.");
  if (isZonal && Math.min(settings.shards.workers, settings.routers.instances) < 2) faults.push("A zone-redundant plan, which profile prod asks for, needs at least 2 workers: raise shards.workers and routers.instances, or take profile dev.");
  if (faults.length > 0) throw new SettingsError(`${faults.length} setting(s) cannot be used:\n  ${faults.join("\n  ")}`);
  return settings;
}

/** A GUID that is the same for the same text, for resources that are named by one. */
export function guidOf(text: string): string {
  const hex = createHash("sha256").update(text).digest("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

class Reader {
  constructor(private readonly raw: RawSettings, private readonly faults: string[]) {}

  text(name: string, pattern: RegExp, meaning: string, otherwise?: string): string {
    const value = this.find(name) ?? otherwise;
    if (typeof value === "string" && pattern.test(value)) return value;
    return this.refuse(name, value, meaning, "");
  }

  optional(name: string, pattern: RegExp, meaning: string): string | undefined {
    return this.find(name) === undefined ? undefined : this.text(name, pattern, meaning);
  }

  whole(name: string, least: number, most: number, otherwise: number): number {
    const value = Number(this.find(name) ?? otherwise);
    if (Number.isInteger(value) && value >= least && value <= most) return value;
    return this.refuse(name, this.find(name), `a whole number from ${least} to ${most}`, otherwise);
  }

  flag(name: string, otherwise: boolean): boolean {
    const value = this.find(name) ?? otherwise;
    if (value === true || value === "true") return true;
    if (value === false || value === "false") return false;
    return this.refuse(name, value, "true or false", otherwise);
  }

  oneOf<T extends string>(name: string, values: readonly T[], otherwise: T): T {
    const value = this.find(name) ?? otherwise;
    return values.find((allowed) => allowed === value) ?? this.refuse(name, value, `one of ${values.join(", ")}`, otherwise);
  }

  list(name: string, pattern: RegExp, most: number, meaning: string, otherwise: readonly string[]): readonly string[] {
    const value = this.find(name) ?? otherwise;
    const isGood = Array.isArray(value) && value.length <= most && value.every((item) => typeof item === "string" && pattern.test(item));
    return isGood ? value as readonly string[] : this.refuse(name, value, `a list of at most ${most} ${meaning}`, otherwise);
  }

  /** `log.partitions` is property `partitions` of setting `log`. */
  private find(name: string): unknown {
    const [setting = "", property] = name.split(".");
    const value = this.raw.get(setting) ?? undefined;
    if (property === undefined || value === undefined) return value;
    if (typeof value !== "object" || Array.isArray(value)) return undefined;
    return (value as Record<string, unknown>)[property] ?? undefined;
  }

  private refuse<T>(name: string, value: unknown, meaning: string, instead: T): T {
    this.faults.push(`shardcloud:${name} is ${value === undefined ? "missing" : JSON.stringify(value)}: it must be ${meaning}.`);
    return instead;
  }
}

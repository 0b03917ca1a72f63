import { spawnSync } from "node:child_process";

/** What passes by itself: a role that was just given counts only after minutes, and a site that was just made is not there at once. */
const passing = /AuthorizationPermissionMismatch|AuthorizationFailure|required permissions|ResourceNotFound|TooManyRequests|ServiceUnavailable|Gateway/i;

/**
 * Runs `az` with these arguments, again while it is refused for what passes by itself, for AZ_RETRY_SECONDS (300) at most.
 * @param {string[]} args
 * @returns {Promise<{ ok: boolean, out: string, error: string }>} how it ended
 */
export async function az(args) {
  const until = Date.now() + Number(process.env.AZ_RETRY_SECONDS ?? 300) * 1000;
  for (let pause = 2_000; ; pause = Math.min(pause * 2, 20_000)) {
    const run = spawnSync("az", args, { encoding: "utf8", shell: process.platform === "win32" });
    if (run.error) return { ok: false, out: "", error: `az could not be started (${run.error.message}): install the Azure CLI and log in with 'az login'.` };
    const wait = Math.min(pause, Number(process.env.AZ_RETRY_PAUSE_MAX ?? pause));
    if (run.status === 0 || !passing.test(run.stderr) || Date.now() + wait > until) return { ok: run.status === 0, out: run.stdout.trim(), error: run.stderr.trim() };
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

/** @param {string} text @returns {never} */
export function fail(text) {
  console.error(text);
  process.exit(1);
}

// Gives a Functions app on Flex Consumption its package: node publish-functions.mjs GROUP APP FILE
import { az, fail } from "./az.mjs";

const [group, app, file] = process.argv.slice(2);
if (!file) fail("usage: publish-functions.mjs GROUP APP FILE");
const published = await az(["functionapp", "deployment", "source", "config-zip", "--resource-group", group, "--name", app, "--src", file, "--only-show-errors", "--output", "none"]);
if (!published.ok) fail(published.error);

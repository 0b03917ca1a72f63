// Prints, as JSON, what the Functions app and a router of a stack with everything are told: tests/Infra.Tests reads it as the programs would.
import { settingsOf } from "../policy";
import { run } from "./run";

void run("prod with everything").then(({ resources }) => {
  const told = (name: string) => {
    const site = resources.find((one) => one.type === "azure-native:web:WebApp" && one.name === name)!;
    return Object.fromEntries(settingsOf(site).map(({ name, value }) => [name, value]));
  };
  console.log(JSON.stringify({ orchestrator: told("orchestrator"), router: told("http") }));
});

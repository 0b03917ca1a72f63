// The language service imports JSON in a way that Node stopped to take.
import { readFileSync } from 'node:fs';

export const load = (url, context, next) =>
  url.endsWith('.json') ? { format: 'module', shortCircuit: true, source: `export default ${readFileSync(new URL(url), 'utf8')}` } : next(url, context);

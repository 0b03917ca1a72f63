// A program in another language for the tests: does what the last segment of the path says.
const http = require('node:http');
const fs = require('node:fs');

const marker = process.argv[2]; // A file: who finds it there has lived before.
if (marker) {
  if (fs.existsSync(marker)) { console.error('no second life'); process.exit(9); }
  fs.writeFileSync(marker, '');
}

const next = {};
next.promise = new Promise((resolve) => { next.resolve = resolve; });

http.createServer(async (request, response) => {
  const body = (await request.toArray()).join('');
  const json = (status, value, headers = {}) => response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
  if (request.url.includes('/add/')) await replay(request.headers, 'POST /counter/added/add');
  switch (new URL(request.url, 'http://x').pathname.split('/').pop()) {
    case 'what': return json(200, { method: request.method, url: request.url, headers: request.headers, body, env: process.env, pid: process.pid }, { 'x-shard-entry': 'forged', 'x-own': 'kept' });
    case 'die': response.write('half'); return setImmediate(() => process.exit(1));
    case 'die-once': // Body: a file that is there in the second life.
      if (fs.existsSync(body)) return json(200, {});
      fs.writeFileSync(body, '');
      return process.exit(1);
    case 'events':
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: first\n\n');
      return next.promise.then(() => response.end('data: second\n\n'));
    case 'next': next.resolve(); return json(200, {});
    case 'status': return json(+body, { status: +body });
    case 'state': return json(200, await replay(request.headers, body));
    default: return json(404, { error: request.url });
  }
}).listen(process.env.PORT, '127.0.0.1');

// Body: lines "METHOD path json" to be done one after the other at the state listener; answers what it said to each.
async function replay(headers, body) {
  const answers = [];
  for (const line of body.split('\n').filter(Boolean)) {
    const [method, path, ...rest] = line.split(' ');
    const answer = await fetch(`${process.env.SHARDCLOUD_STATE_URL}/${headers['x-shard-state']}${path === '.' ? '' : path}`, {
      method, body: rest.length ? rest.join(' ') : undefined,
      headers: { authorization: `Bearer ${process.env.SHARDCLOUD_STATE_TOKEN}`, 'content-type': 'application/json' },
    });
    answers.push([answer.status, await answer.json()]);
  }
  return answers;
}

// Rooms in JavaScript, with nothing but Node: a visit counter and a member list for each room. docs/any-language.md is its tutorial.
//
// The runtime starts this program, sends it the requests of the rooms that this shard owns, changing ones one at a time for each room, and keeps what it
// changes by the state calls below together with its answer. So it has no database, no lock, and no code for moves and crashes.
'use strict';
const http = require('node:http');

const { PORT, SHARDCLOUD_SHARD: shard, SHARDCLOUD_VERSION: version, SHARDCLOUD_STATE_URL, SHARDCLOUD_STATE_TOKEN } = process.env;

/** The state of the room that a request names: state('/counter/visits') reads, state('/counter/visits/add', {amount: 1}) changes. */
const stateOf = (request) => async (path, change) => {
  const answer = await fetch(`${SHARDCLOUD_STATE_URL}/${request.headers['x-shard-state']}${path}`, {
    method: change ? 'POST' : 'GET',
    headers: { authorization: `Bearer ${SHARDCLOUD_STATE_TOKEN}`, 'content-type': 'application/json' },
    body: change && JSON.stringify(change),
  });
  const body = await answer.json();
  if (!answer.ok) throw new Error(`${body.code}: ${body.detail}`);
  return body;
};

const routes = [
  ['POST', /^\/rooms\/([^/]+)\/increment$/, async (state, room) => {
    const { value } = await state('/counter/visits/add', { amount: 1 });
    return [200, { room, value, shard, version }];
  }],
  ['GET', /^\/rooms\/([^/]+)$/, async (state, room) => {
    const { fields } = await state('');
    return [200, { room, value: fields.visits?.value ?? 0, members: fields.members?.items ?? [], shard, version }];
  }],
  ['PUT', /^\/rooms\/([^/]+)\/members\/([^/]+)$/, async (state, room, name) => {
    await state('/set/members/add', { item: name });
    return [204];
  }],
  ['DELETE', /^\/rooms\/([^/]+)\/members\/([^/]+)$/, async (state, room, name) => {
    const { changed } = await state('/set/members/remove', { item: name });
    return [changed ? 204 : 404];
  }],
];

http.createServer(async (request, response) => {
  let [status, answer] = [404];
  try {
    const path = request.url.split('?')[0];
    for (const [method, pattern, handle] of routes) {
      const match = request.method === method && pattern.exec(path);
      if (match) [status, answer] = await handle(stateOf(request), ...match.slice(1).map(decodeURIComponent));
    }
  } catch (error) {
    console.error(error);
    status = 500; // Nothing is changed.
  }
  response.writeHead(status, answer && { 'content-type': 'application/json' }).end(answer && JSON.stringify(answer));
}).listen(PORT, '127.0.0.1');

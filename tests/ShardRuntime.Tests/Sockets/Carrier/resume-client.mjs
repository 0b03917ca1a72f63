// Driven by ResumeTests: sends numbers over the addresses given until it has lost one connection and had 50 more echoes, then closes.
import { ResumingSocket } from '../../../../clients/js/shardcloud-client.js';

const socket = new ResumingSocket(process.argv.slice(2), { protocols: ['chat'], firstPause: 20 });
let sent = 0, seen = 0, after = 0;
const text = new TextDecoder();
socket.onmessage = data => {
  const number = Number(typeof data === 'string' ? data : text.decode(data));
  if (number !== ++seen) fail(`echo ${number} instead of ${seen}`);
  if (socket.connections > 1 && ++after === 50) socket.close(1000, 'done');
};
socket.onclose = ({ code, reason }) => {
  console.log(`${seen} in order, ${socket.connections} connections, closed ${code} ${reason}`);
  process.exit(code === 1000 && socket.isResumable ? 0 : 1);
};
await socket.opened;
try {
  while (!socket.isClosed && after < 50) {
    const message = `${++sent}`;
    await socket.send(sent % 2 ? message : new TextEncoder().encode(message)); // Text and binary in turn.
    if (sent - seen > 50) await new Promise(resolve => setTimeout(resolve, 1));
  }
} catch (error) {
  if (after < 50) fail(error);
}

function fail(why) {
  console.error(why);
  process.exit(2);
}

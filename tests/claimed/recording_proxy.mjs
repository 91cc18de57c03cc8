// Passes requests on to a service and writes down every signature that comes back, with the message that it is of, before it
// passes the answer on: recording_proxy.mjs SERVICE_HOST SERVICE_PORT RECORD. Prints its port.

import { openSync, writeSync } from 'node:fs';
import { createServer, request, Agent } from 'node:http';

import { hashTypedData } from 'viem';

const [host, port, file] = process.argv.slice(2);
const record = openSync(file, 'a');
const agent = new Agent({ keepAlive: true });

function note(asked, answered) {
  const { method, params } = JSON.parse(asked);
  const { result } = JSON.parse(answered);
  if (!result || !method.startsWith('eth_sign')) return;
  const message = method === 'eth_sign' ? params[1] : hashTypedData(JSON.parse(params[1]));
  writeSync(record, `${params[0].toLowerCase()} ${message} ${result}\n`);
}

const server = createServer(async (incoming, outgoing) => {
  const body = await collect(incoming);
  const forward = request(
    { host, port, agent, method: incoming.method, path: incoming.url, headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) } },
    async answer => {
      const text = await collect(answer);
      if (answer.statusCode === 200) note(body, text);
      outgoing.writeHead(answer.statusCode, { 'content-type': 'application/json' });
      outgoing.end(text);
    },
  );
  forward.on('error', () => outgoing.destroy());
  forward.end(body);
});

async function collect(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts).toString();
}

server.listen(0, '127.0.0.1', () => console.log(server.address().port));

// A server for as long as standard input is open. Prints its URL, and makes a database of each name that it reads.

import { createInterface } from 'node:readline';

import { PostgresServer } from './support.mjs';

const server = await PostgresServer.start();
console.log(server.url('').replace(/\/$/, ''));
for await (const name of createInterface({ input: process.stdin })) {
  server.sql(`create database ${name}`);
  console.log(name);
}
server.remove();

/** Round trips: counted on real sockets, whoever writes to them. */
import { once } from 'node:events';
import { type AddressInfo, createConnection, createServer, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { countTrips } from '../../bench/processes/count-trips.ts';

/** Both answer what they are told. */
let server: Server;
let other: Server;

const portOf = (asked: Server) => (asked.address() as AddressInfo).port;

async function listen(): Promise<Server> {
  const echo = createServer((socket) => void socket.pipe(socket)).listen(0, '127.0.0.1');
  await once(echo, 'listening');
  return echo;
}

async function connect(asked: Server): Promise<Socket> {
  const socket = createConnection(portOf(asked), '127.0.0.1');
  await once(socket, 'connect');
  return socket;
}

async function ask(socket: Socket, ...questions: string[]): Promise<void> {
  for (const question of questions) socket.write(question);
  for (let answered = ''; answered.length < questions.join('').length; )
    answered += String((await once(socket, 'data'))[0]);
}

beforeAll(async () => {
  [server, other] = [await listen(), await listen()];
});
afterAll(() => [server, other].map((each) => each.close()));

it('what is written before the next answer comes is one trip', async () => {
  const socket = await connect(server);
  const trips = await countTrips(portOf(server), async () => {
    await ask(socket, 'a');
    await ask(socket, 'b', 'c', 'd');
  });
  socket.destroy();
  expect(trips).toBe(2);
});

it('nothing counts that goes elsewhere, or after the work', async () => {
  const [here, there] = [await connect(server), await connect(other)];
  const trips = await countTrips(portOf(server), () => ask(there, 'a'));
  await ask(here, 'b');
  for (const socket of [here, there]) socket.destroy();
  expect(trips).toBe(0);
  expect(Object.keys(Object.getPrototypeOf(here))).not.toContain('write');
});

import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import {
  disconnect, emit, emitWithAck, eventually, fence, fetchSockets, fresh, ids, join, leave, remotely, rooms, startNodes,
} from "../nodes.js";

const UNKNOWN = "AAAAAAAAAAAAAAAA"; // an id that no socket has

describe("sockets of other nodes", () => {
  let cluster;
  before(async () => (cluster = await startNodes()));
  afterEach(() => cluster.release());
  after(() => cluster.stop());

  it("that were made to join get the next emit of any node", async () => {
    const team = fresh("team");
    const clients = await cluster.crowd(1, { rooms: [team] });
    for (let round = 0; round < 100; round++) {
      const room = fresh("room");
      await clients[round % 3].do(join([room], { to: [team] }));
      await clients[(round + 1) % 3].do(emit("news", round, { to: [room] }));
    }
    for (const client of clients) {
      await client.until("100 messages", () => client.got("news").length >= 100);
      assert.deepEqual(new Set(client.got("news")), new Set(Array(100).keys()));
    }
  });

  it("that were made to leave do not", async () => {
    const [team, room] = [fresh("team"), fresh("room")];
    const clients = await cluster.crowd(1, { rooms: [team, room] });
    await clients[0].do(leave([room], { to: [team], except: [clients[0].id] }));
    await clients[1].do(emit("news", 1, { to: [room] }));
    await fence(clients[1], clients);
    assert.deepEqual(clients.map((client) => client.got("news").length), [1, 0, 0]);
  });

  it("join and leave by their ids", async () => {
    const room = fresh("room");
    const clients = await cluster.crowd(1);
    await clients[0].do(join([room], { to: [clients[1].id, clients[2].id] }), leave([room], { to: [clients[1].id] }));
    assert.deepEqual(await clients[0].do(fetchSockets({ to: [room] })).then(ids), [clients[2].id]);
  });

  it("are disconnected after they got what was emitted before", async () => {
    const room = fresh("room");
    const clients = await cluster.crowd(2, { rooms: [room] });
    const rest = await cluster.crowd(1);
    await rest[0].do(emit("bye", 1, { to: [room] }), disconnect({ to: [room] }));
    await Promise.all(clients.map((client) => client.gone()));
    for (const client of clients) assert.deepEqual(client.events(), ["ready", "bye"]);
    await fence(rest[0], rest);
    assert.ok(rest.every((client) => client.socket.connected));
  });

  it("are disconnected by their ids", async () => {
    const clients = await cluster.crowd(1);
    await clients[0].do(disconnect({ to: [clients[2].id] }));
    await clients[2].gone();
    await fence(clients[0], clients.slice(0, 2));
    assert.ok(clients[0].socket.connected && clients[1].socket.connected);
  });

  it("are all fetched, each with the id of its server", async () => {
    const room = fresh("room");
    const clients = await cluster.crowd(2, { rooms: [room] });
    const found = await clients[0].do(fetchSockets({ to: [room] }));
    assert.deepEqual(ids(found), ids(clients));
    assert.ok(found.every(({ ns }) => ns === "/"));
    const server = Object.fromEntries(found.map(({ id, server }) => [id, server]));
    const servers = clients.map(({ id }) => server[id]);
    assert.equal(new Set(servers).size, 3);
    for (const first of [0, 2, 4]) assert.equal(servers[first], servers[first + 1]);
  });

  it("are fetched by rooms, except and local", async () => {
    const [a, b] = [fresh("a"), fresh("b")];
    const clients = [
      await cluster.client(0, { rooms: [a] }),
      await cluster.client(1, { rooms: [a, b] }),
      await cluster.client(2, { rooms: [a] }),
    ];
    const found = (target) => clients[0].do(fetchSockets(target)).then(ids);
    assert.deepEqual(await found({ to: [a], except: [b] }), ids([clients[0], clients[2]]));
    assert.deepEqual(await found({ to: [a], local: true }), ids([clients[0]]));
    assert.deepEqual(await found({ to: [fresh("empty")] }), []);
    assert.deepEqual(await found({ to: [clients[2].id] }), ids([clients[2]]));
  });

  it("are no longer fetched once they are gone", async () => {
    const room = fresh("room");
    const clients = await cluster.crowd(1, { rooms: [room] });
    clients[1].socket.disconnect();
    const found = () => clients[0].do(fetchSockets({ to: [room] })).then(ids);
    await eventually("two sockets are left", async () => (await found()).length === 2);
    assert.deepEqual(await found(), ids([clients[0], clients[2]]));
  });

  it("tell their rooms, each room once", async () => {
    const [a, b, c] = [fresh("a"), fresh("b"), fresh("c")];
    const clients = [
      await cluster.client(0, { rooms: [a, b] }),
      await cluster.client(1, { rooms: [b, c] }),
      await cluster.client(2, { rooms: [c] }),
    ];
    assert.deepEqual(await clients[2].do(rooms({ to: [b] })), [a, b, c]);
  });

  it("are reached one by one as remote sockets", async () => {
    const room = fresh("room");
    const [here, there] = [await cluster.client(0), await cluster.client(2)];
    there.socket.on("ask", (data, answer) => answer({ data, by: there.id }));
    await here.do(remotely(there, emit("hello", { n: 1 })), remotely(there, join([room, "x"])), remotely(there, leave(["x"])));
    assert.deepEqual(await there.next("hello"), { n: 1 });
    assert.deepEqual(here.got("hello"), []);
    assert.deepEqual(await here.do(remotely(there, rooms())), [room]);
    const { acks } = await here.do(remotely(there, emitWithAck("ask", "x")));
    assert.deepEqual(acks, { [there.id]: { data: "x", by: there.id } });
    await here.do(remotely(there, disconnect()));
    await there.gone();
    assert.ok(here.socket.connected);
  });

  it("that do not exist leave no trace", async () => {
    const room = fresh("room");
    const [client] = await cluster.crowd(1);
    await client.do(join([room], { to: [UNKNOWN] }), emit("x", 1, { to: [UNKNOWN] }), disconnect({ to: [UNKNOWN] }));
    assert.ok(!(await client.do(rooms())).includes(room));
    assert.deepEqual(await client.do(fetchSockets({ to: [UNKNOWN] })), []);
    assert.match((await client.try({ do: "disconnect", remote: UNKNOWN }))[0].error, /no node has/);
  });
});

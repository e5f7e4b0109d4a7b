import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import {
  closeNode, emit, emitWithAck, eventually, fence, fetchSockets, fresh, ids, nodes, serverSideEmit, serverSideEmitWithAck, startNodes,
} from "../nodes.js";

describe("servers", () => {
  let cluster;
  before(async () => (cluster = await startNodes()));
  afterEach(() => cluster.release());
  after(() => cluster.stop());

  it("know each other", async () => {
    for (const client of await cluster.crowd(1)) {
      assert.deepEqual(await client.do(nodes()), ["node 1", "node 2", "node 3"]);
    }
  });

  it("get an event of another server once, in order, and not their own", async () => {
    const clients = await cluster.crowd(1);
    await clients[0].do(serverSideEmit("recompute", "1"), serverSideEmit("recompute", "2"), serverSideEmit("end", ""));
    const ended = (client) => client.got("server event").some(({ event }) => event === "end");
    for (const client of clients.slice(1)) {
      await client.until("the last event", () => ended(client));
      const got = client.got("server event").filter(({ event }) => event === "recompute");
      assert.deepEqual(got.map(({ data }) => data), ["1", "2"]);
    }
    await fence(clients[1], clients);
    assert.deepEqual(clients[0].got("server event"), []);
  });

  it("answer an event once each, and those that do not answer are counted as missing", async () => {
    const [client] = await cluster.crowd(1);
    const answered = await client.do(serverSideEmitWithAck("name", "?"));
    assert.deepEqual(answered, { answers: ["node 2", "node 3"], missing: 0 });
    const silent = await client.do(serverSideEmitWithAck("unanswered", "?"));
    assert.deepEqual(silent, { answers: [], missing: 2 });
  });
});

describe("a server that closes", () => {
  let cluster;
  before(async () => (cluster = await startNodes()));
  afterEach(() => cluster.release());
  after(() => cluster.stop());

  it("takes its sockets along, and the others go on without it", async () => {
    const room = fresh("room");
    const clients = await cluster.crowd(2, { rooms: [room] });
    const [rest, gone] = [[...clients.slice(0, 2), ...clients.slice(4)], clients.slice(2, 4)];
    for (const client of clients) client.socket.on("ask", (data, answer) => answer(data));
    await clients[0].do(closeNode(1));
    await Promise.all(gone.map((client) => client.gone()));
    await eventually("two nodes are left", async () => (await clients[0].do(nodes())).length === 2);
    assert.deepEqual(await clients[4].do(fetchSockets({ to: [room] })).then(ids), ids(rest));
    const { acks, errors, ms } = await clients[4].do(emitWithAck("ask", 1, { to: [room], timeout: 15_000 }));
    assert.deepEqual(Object.keys(acks).sort(), ids(rest));
    assert.deepEqual(errors, {});
    assert.ok(ms < 5000, `${ms} ms: it is not waited for`);
    await clients[0].do(emit("news", 1, { to: [room] }));
    await fence(clients[0], rest);
    for (const client of rest) assert.deepEqual(client.got("news"), [1]);
    assert.deepEqual(await clients[0].do(serverSideEmitWithAck("name", "?")), { answers: ["node 3"], missing: 0 });
  });
});

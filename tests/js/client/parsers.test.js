import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { emit, emitWithAck, fence, fetchSockets, fresh, ids, join, rooms, startNodes } from "../nodes.js";

describe("a cluster of one parser, msgpack", () => {
  let cluster;
  before(async () => (cluster = await startNodes("--parser", "msgpack")));
  afterEach(() => cluster.release());
  after(() => cluster.stop());

  it("broadcasts, asks, joins and fetches", async () => {
    const room = fresh("room");
    const clients = await cluster.crowd(1, { parser: "msgpack" });
    for (const client of clients) client.socket.on("ask", (data, answer) => answer(data + 1));
    await clients[0].do(join([room], { except: [clients[0].id] }), emit("news", { n: 1 }, { to: [room] }));
    await fence(clients[0], clients);
    assert.deepEqual(clients.map((client) => client.got("news").length), [0, 1, 1]);
    const { acks, errors } = await clients[0].do(emitWithAck("ask", 41));
    assert.deepEqual([Object.values(acks), errors], [[42, 42, 42], {}]);
    assert.deepEqual(await clients[0].do(fetchSockets({ to: [room] })).then(ids), ids(clients.slice(1)));
  });
});

// A packet is encoded by the parser of the node that emits it, so a node with another one cannot read it. That is told
// in the documentation; what counts here is that nothing worse comes of it.
describe("a cluster of two parsers", () => {
  let cluster;
  const parserOf = (index) => (index === 1 ? "msgpack" : undefined);
  const crowd = () => Promise.all([0, 1, 2].map((index) => cluster.client(index, { parser: parserOf(index) })));
  before(async () => (cluster = await startNodes("--parser", "mixed")));
  afterEach(() => cluster.release());
  after(() => cluster.stop());

  it("disconnects nobody, and reaches those who share the sender's parser", async () => {
    const clients = await crowd();
    const [first, other, third] = clients;
    for (let round = 0; round < 20; round++) {
      await first.do(emit("news", round));
      await other.do(emit("news", round));
    }
    await fence(first, [first, third]);
    await fence(other, [other]);
    const numbers = [...Array(20).keys()];
    for (const client of clients) {
      assert.deepEqual(client.got("news"), numbers);
      assert.ok(client.socket.connected);
    }
  });

  it("asks those who share the sender's parser, and does not wait for the others for ever", async () => {
    const clients = await crowd();
    for (const client of clients) client.socket.on("ask", (data, answer) => answer(data));
    const { acks } = await clients[0].do(emitWithAck("ask", 1, { timeout: 1000 }));
    assert.deepEqual(Object.keys(acks).sort(), ids([clients[0], clients[2]]));
    const { acks: own } = await clients[1].do(emitWithAck("ask", 2, { timeout: 1000 }));
    assert.deepEqual(own, { [clients[1].id]: 2 });
    assert.ok(clients.every((client) => client.socket.connected));
  });

  it("joins, fetches and lists rooms across them, for no packet is in that", async () => {
    const room = fresh("room");
    const clients = await crowd();
    await clients[0].do(join([room]));
    assert.deepEqual(await clients[1].do(fetchSockets({ to: [room] })).then(ids), ids(clients));
    assert.deepEqual(await clients[2].do(rooms({ to: [room] })), [room]);
  });
});

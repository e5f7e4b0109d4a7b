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

// A packet is encoded by the parser of the node that emits it; a node with another parser translates it. Binary data is
// translated from the common parser to msgpack, and not back.
describe("a cluster of two parsers", () => {
  let cluster;
  const parserOf = (index) => (index === 1 ? "msgpack" : undefined);
  const crowd = () => Promise.all([0, 1, 2].map((index) => cluster.client(index, { parser: parserOf(index) })));
  before(async () => (cluster = await startNodes("--parser", "mixed")));
  afterEach(() => cluster.release());
  after(() => cluster.stop());

  it("carries what is not binary to everyone once, in order", async () => {
    const clients = await crowd();
    const data = ["", "\u0000 ünï", null, -1.5, 2 ** 40, true, [[]], { a: { b: [1, { c: null }] } }, "x".repeat(100_000)];
    for (const [index, sender] of clients.entries()) {
      await sender.do(...data.map((it) => emit(`from ${index}`, it)));
      await fence(sender, clients);
    }
    for (const client of clients) {
      for (const index of clients.keys()) assert.deepEqual(client.got(`from ${index}`), data);
    }
  });

  it("gathers the answers of everyone", async () => {
    const clients = await crowd();
    for (const client of clients) client.socket.on("ask", (data, answer) => answer({ data, of: client.id }));
    for (const asking of clients) {
      const { acks, errors } = await asking.do(emitWithAck("ask", { n: 1 }));
      assert.deepEqual(errors, {});
      assert.deepEqual(acks, Object.fromEntries(clients.map(({ id }) => [id, { data: { n: 1 }, of: id }])));
    }
  });

  it("disconnects nobody when something is binary, and reaches everyone whose parser can say it", async () => {
    const clients = await crowd();
    const bytes = [Buffer.from([0, 1, 2, 255]), Buffer.alloc(0)];
    for (const sender of clients) {
      const refused = await sender.socket.timeout(20_000).emitWithAck("binary", {}, ...bytes);
      assert.equal(refused, null);
      await fence(sender, clients);
    }
    const heard = { 0: 2, 1: 3, 2: 2 }; // how many of the three senders each one hears: client 1 speaks msgpack
    for (const [index, client] of clients.entries()) {
      assert.equal(client.got("binary").length, heard[index]);
      for (const pair of client.got("binary")) assert.deepEqual(pair.map((it) => Buffer.from(it)), bytes);
      assert.ok(client.socket.connected);
    }
  });

  it("joins, fetches and lists rooms across them", async () => {
    const room = fresh("room");
    const clients = await crowd();
    await clients[0].do(join([room]));
    assert.deepEqual(await clients[1].do(fetchSockets({ to: [room] })).then(ids), ids(clients));
    assert.deepEqual(await clients[2].do(rooms({ to: [room] })), [room]);
  });
});

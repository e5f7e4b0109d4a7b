import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { emitWithAck, fresh, ids, startNodes } from "../nodes.js";

describe("emit with ack", () => {
  let cluster;
  before(async () => (cluster = await startNodes()));
  afterEach(() => cluster.release());
  after(() => cluster.stop());

  const answering = (clients) => {
    for (const client of clients) client.socket.on("ask", (data, answer) => answer({ of: client.id, data }));
  };

  it("gathers one answer from each socket of each node", async () => {
    const clients = await cluster.crowd(2);
    answering(clients);
    for (const asking of [clients[0], clients[2], clients[4]]) {
      const { acks, errors } = await asking.do(emitWithAck("ask", [1, "two"]));
      assert.deepEqual(errors, {});
      assert.deepEqual(acks, Object.fromEntries(clients.map(({ id }) => [id, { of: id, data: [1, "two"] }])));
    }
  });

  it("asks only the sockets addressed", async () => {
    const room = fresh("room");
    const clients = await cluster.crowd(2, { rooms: [room] });
    answering([...clients, ...(await cluster.crowd(1))]);
    const { acks } = await clients[0].do(emitWithAck("ask", 0, { by: "socket", to: [room], except: [clients[5].id] }));
    assert.deepEqual(Object.keys(acks).sort(), ids(clients.slice(1, 5)));
  });

  it("times out for a mute socket alone", async () => {
    const clients = await cluster.crowd(2);
    const mute = clients[3];
    answering(clients.filter((client) => client !== mute));
    const { acks, errors } = await clients[0].do(emitWithAck("ask", 0, { timeout: 2000 }));
    assert.deepEqual(Object.keys(acks).sort(), ids(clients.filter((client) => client !== mute)));
    assert.deepEqual(Object.keys(errors), [mute.id]);
    assert.match(errors[mute.id], /timeout/);
  });

  it("takes the caller's timeout along to other nodes", async () => {
    const [asking] = await cluster.crowd(1);
    const { errors, ms } = await asking.do(emitWithAck("ask", 0, { timeout: 2000 }));
    assert.equal(Object.keys(errors).length, 3);
    assert.ok(ms >= 1990 && ms < 5000, `${ms} ms; the nodes' own timeout is 5000`);
  });

  it("ends at once when nobody is addressed", async () => {
    const [asking] = await cluster.crowd(1);
    const { acks, errors, ms } = await asking.do(emitWithAck("ask", 0, { to: [fresh("empty")], timeout: 15_000 }));
    assert.deepEqual([acks, errors], [{}, {}]);
    assert.ok(ms < 5000, `${ms} ms`);
  });

  it("to a socket's id asks that socket, wherever it is", async () => {
    const clients = await cluster.crowd(1);
    answering(clients);
    const { acks, errors } = await clients[0].do(emitWithAck("ask", "you", { to: [clients[2].id] }));
    assert.deepEqual([acks, errors], [{ [clients[2].id]: { of: clients[2].id, data: "you" } }, {}]);
  });
});

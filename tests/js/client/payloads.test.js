import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, afterEach, before, describe, it } from "node:test";
import { count, emit, fence, startNodes } from "../nodes.js";

for (const parser of ["common", "msgpack"]) {
  describe(`payloads with the ${parser} parser`, () => {
    let cluster;
    before(async () => (cluster = await startNodes("--parser", parser)));
    afterEach(() => cluster.release());
    after(() => cluster.stop());

    it("arrive byte for byte when they are binary: empty, every byte value, 200 kB", async () => {
      const clients = await cluster.crowd(1, { parser });
      const every = Buffer.from([...Array(256).keys()]);
      const sizes = [[Buffer.alloc(0), every], [randomBytes(200_000), Buffer.alloc(0)], [randomBytes(1), randomBytes(70_000)]];
      for (const [round, [first, second]] of sizes.entries()) {
        const sender = clients[round % 3];
        const refused = await sender.socket.timeout(20_000).emitWithAck("binary", {}, first, second);
        assert.equal(refused, null);
      }
      for (const client of clients) {
        await client.until("three binaries", () => client.got("binary").length === 3);
        for (const [index, [first, second]] of sizes.entries()) {
          // Those of three senders, so in any order: found by the size.
          const found = client.got("binary").find((it) => it[0].length === first.length && it[1].length === second.length);
          assert.ok(found, `no pair of the sizes of pair ${index}`);
          assert.ok(Buffer.from(found[0]).equals(first) && Buffer.from(found[1]).equals(second), `pair ${index}`);
        }
      }
    });

    it("arrive as they are when they are text, numbers, nothing or large", async () => {
      const clients = await cluster.crowd(1, { parser });
      const data = [
        "", "𝄞 ünï \u0000 \u2028", null, 0, -1.5, 2 ** 40, true, [], {}, { a: { b: [1, { "": null }] } }, "x".repeat(300_000),
      ];
      await clients[0].do(...data.map((it, index) => emit(`case ${index}`, it)));
      await fence(clients[0], clients);
      for (const client of clients) {
        for (const [index, it] of data.entries()) assert.deepEqual(client.got(`case ${index}`), [it]);
      }
    });

    it("arrive in the order in which each of three nodes sent a thousand of them", async () => {
      const clients = await cluster.crowd(1, { parser });
      const numbers = [...Array(1000).keys()];
      await Promise.all(clients.map((client, index) => client.do(count(`from ${index}`, 1000))));
      for (const client of clients) {
        for (const index of clients.keys()) {
          await client.until("a thousand", () => client.got(`from ${index}`).length >= 1000);
          assert.deepEqual(client.got(`from ${index}`), numbers);
        }
      }
    });
  });
}

describe("garbage from a client", () => {
  let cluster;
  before(async () => (cluster = await startNodes()));
  afterEach(() => cluster.release());
  after(() => cluster.stop());

  it("as events with other data changes nothing, and is told where an answer is wanted", async () => {
    const [client] = await cluster.crowd(1);
    client.socket.emit("no such event", { a: 1 });
    client.socket.emit("");
    client.socket.emit("do");
    client.socket.emit("do", Buffer.from([1, 2, 3]));
    client.socket.emit("binary", "not", "bytes");
    for (const wrong of [null, 7, "x", {}, [{}], [{ do: "nothing" }], [{ do: { join: { rooms: 7 } } }]]) {
      const answer = await client.socket.timeout(20_000).emitWithAck("do", wrong);
      assert.ok(answer.error, JSON.stringify(wrong));
    }
    assert.deepEqual(await client.do(emit("still", 1)), null);
    assert.equal(await client.next("still"), 1);
  });

  it("as broken packets costs at most its own connection", async () => {
    const clients = await cluster.crowd(2);
    const [broken, ...rest] = clients;
    for (const packet of ["2[", "2", "9", "5-", "51-[\"x\",{\"_placeholder\":true,\"num\":9}]", "39999[]", "2/none,[\"x\"]", "\u0000"]) {
      broken.socket.io.engine.write(packet);
    }
    await rest[0].do(emit("news", 1));
    await fence(rest[0], rest);
    for (const client of rest) assert.deepEqual(client.got("news"), [1]);
  });
});

import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { clusterEmit, emit, fence, fresh, startNodes } from "../nodes.js";

describe("broadcast", () => {
  let cluster;
  before(async () => (cluster = await startNodes()));
  afterEach(() => cluster.release());
  after(() => cluster.stop());

  // How many copies each client has once nothing more can come from that sender.
  async function copies(event, from, clients) {
    await fence(from, clients);
    return clients.map((client) => client.got(event).length);
  }

  it("reaches each socket of each node once, from any node", async () => {
    const clients = await cluster.crowd(2);
    for (const [index, sender] of clients.entries()) await sender.do(emit(`news ${index}`, { index }));
    for (const [index, sender] of clients.entries()) {
      assert.deepEqual(await copies(`news ${index}`, sender, clients), [1, 1, 1, 1, 1, 1]);
      for (const client of clients) assert.deepEqual(client.got(`news ${index}`), [{ index }]);
    }
  });

  it("gives a socket in two of the rooms one copy, and a stranger none", async () => {
    const [a, b] = [fresh("a"), fresh("b")];
    const clients = [
      await cluster.client(0, { rooms: [a] }),
      await cluster.client(1, { rooms: [a, b] }),
      await cluster.client(2, { rooms: [b] }),
      await cluster.client(2),
    ];
    await clients[0].do(emit("news", 1, { to: [a, b] }));
    assert.deepEqual(await copies("news", clients[0], clients), [1, 1, 1, 0]);
  });

  it("leaves out the sockets of an excepted room whatever else they are in", async () => {
    const [a, b] = [fresh("a"), fresh("b")];
    const clients = [
      await cluster.client(0, { rooms: [a] }),
      await cluster.client(1, { rooms: [a, b] }),
      await cluster.client(2, { rooms: [a, b] }),
      await cluster.client(2, { rooms: [a] }),
    ];
    await clients[0].do(emit("news", 1, { to: [a], except: [b] }), emit("all", 1, { except: [b] }));
    assert.deepEqual(await copies("news", clients[0], clients), [1, 0, 0, 1]);
    assert.deepEqual(await copies("all", clients[0], clients), [1, 0, 0, 1]);
  });

  it("from a socket leaves out that socket, and with within does not", async () => {
    const room = fresh("room");
    const clients = await cluster.crowd(1, { rooms: [room] });
    await clients[1].do(
      emit("broadcast", 1, { by: "socket" }),
      emit("to", 1, { by: "socket", to: [room] }),
      emit("within", 1, { by: "socket", within: [room] }),
    );
    assert.deepEqual(await copies("broadcast", clients[1], clients), [1, 0, 1]);
    assert.deepEqual(await copies("to", clients[1], clients), [1, 0, 1]);
    assert.deepEqual(await copies("within", clients[1], clients), [1, 1, 1]);
  });

  it("with local stays on its node", async () => {
    const clients = await cluster.crowd(2);
    await clients[2].do(emit("news", 1, { local: true }));
    assert.deepEqual(await copies("news", clients[2], clients), [0, 0, 1, 1, 0, 0]);
  });

  it("that is volatile reaches sockets that read, on every node", async () => {
    const clients = await cluster.crowd(1);
    await clients[0].do(emit("news", { n: 1 }, { volatile: true }));
    for (const client of clients) assert.deepEqual(await client.next("news"), { n: 1 });
    assert.deepEqual(await copies("news", clients[0], clients), [1, 1, 1]);
  });

  it("to a socket's id reaches that socket alone, from any node", async () => {
    const clients = await cluster.crowd(2);
    for (const [index, sender] of clients.entries()) {
      for (const [place, target] of clients.entries()) {
        await sender.do(emit(`${index} to ${place}`, null, { to: [target.id] }));
      }
    }
    for (const [index, sender] of clients.entries()) {
      await fence(sender, clients);
      for (const [place, target] of clients.entries()) {
        const got = clients.filter((client) => client.got(`${index} to ${place}`).length === 1);
        assert.deepEqual(got, [target]);
      }
    }
  });

  it("to a socket's id and a room that it is in gives it one copy", async () => {
    const room = fresh("room");
    const clients = await cluster.crowd(1, { rooms: [room] });
    await clients[0].do(emit("news", 1, { to: [room, clients[2].id] }));
    assert.deepEqual(await copies("news", clients[0], clients), [1, 1, 1]);
  });

  it("except a socket's id leaves out that socket alone, from any node", async () => {
    const clients = await cluster.crowd(1);
    for (const [index, sender] of clients.entries()) {
      await sender.do(emit(`all but 1, from ${index}`, null, { except: [clients[1].id] }));
      assert.deepEqual(await copies(`all but 1, from ${index}`, sender, clients), [1, 0, 1]);
    }
  });

  it("does not leave its namespace", async () => {
    const room = fresh("room");
    const here = await cluster.crowd(1, { rooms: [room] });
    const other = await cluster.crowd(1, { ns: "/other", rooms: [room] });
    await here[0].do(emit("news", "here"), emit("room", "here", { to: [room] }));
    await other[1].do(emit("news", "other"), emit("room", "other", { to: [room] }));
    await fence(here[0], here);
    await fence(other[1], other);
    for (const event of ["news", "room"]) {
      assert.deepEqual(here.map((client) => client.got(event)), [["here"], ["here"], ["here"]]);
      assert.deepEqual(other.map((client) => client.got(event)), [["other"], ["other"], ["other"]]);
    }
  });

  it("reaches a dynamic namespace on the nodes that have it, and no other one", async () => {
    const clients = await cluster.crowd(2, { ns: "/dynamic/1" });
    const others = await cluster.crowd(1, { ns: "/dynamic/2" });
    await clients[0].do(emit("news", 1));
    assert.deepEqual(await copies("news", clients[0], clients), [1, 1, 1, 1, 1, 1]);
    assert.deepEqual(await copies("news", others[0], others), [0, 0, 0]);
  });

  it("through the cluster reaches a namespace that its own node does not have", async () => {
    const main = await cluster.client(0);
    const dynamic = await cluster.client(2, { ns: "/dynamic/far", rooms: ["a"] });
    const refused = await main.try(emit("news", 1, { ns: "/dynamic/far" }));
    assert.match(refused[0].error, /not here/);
    await main.do(
      clusterEmit("news", { n: 1 }, { ns: "/dynamic/far" }),
      clusterEmit("room", { n: 2 }, { ns: "/dynamic/far", to: ["a"] }),
      clusterEmit("room", { n: 3 }, { ns: "/dynamic/far", to: ["b"] }),
      clusterEmit("end", {}, { ns: "/dynamic/far" }),
    );
    await dynamic.next("end");
    assert.deepEqual(dynamic.got("news"), [{ n: 1 }]);
    assert.deepEqual(dynamic.got("room"), [{ n: 2 }]);
  });

  it("reaches a client that came by HTTP polling", async () => {
    const clients = [await cluster.client(0), await cluster.client(1, { transports: ["polling"] })];
    await clients[0].do(emit("news", { n: 1 }));
    assert.deepEqual(await copies("news", clients[0], clients), [1, 1]);
    await clients[1].do(emit("answer", { n: 2 }));
    assert.deepEqual(await clients[0].next("answer"), { n: 2 });
  });
});

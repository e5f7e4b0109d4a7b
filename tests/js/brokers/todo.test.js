// The to-do list as two processes, with one PostgreSQL as its store and as the broker.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { startBroker } from "../broker.js";
import { Client, startServer } from "../nodes.js";

describe("the to-do list on two servers", () => {
  let broker;
  const servers = [];
  const clients = [];
  const start = () => startServer("todo", "--adapter", broker.url, "--store", store());
  const store = () => broker.url.replace("postgres://", "postgres://postgres@");

  before(async () => {
    broker = await startBroker("postgres");
    servers.push(...(await Promise.all([start(), start()])));
  });
  after(async () => {
    for (const { socket } of clients) socket.disconnect();
    const endings = await Promise.allSettled(servers.map((server) => server.stop()));
    await broker?.stop();
    for (const { reason } of endings) assert.ifError(reason);
  });

  async function connect(index) {
    const client = new Client(servers[index].url);
    clients.push(client);
    await client.until("the connection", () => client.socket.connected);
    return client;
  }
  const failure = (request) =>
    request.then(() => assert.fail("it was accepted"), (error) => error.answer ?? Promise.reject(error));

  let here, beside, there, entry;

  it("acknowledges what a client does, and tells all others on both servers", async () => {
    [here, beside, there] = [await connect(0), await connect(0), await connect(1)];
    entry = await here.request("create", { title: " buy milk " });
    assert.deepEqual(entry, { id: entry.id, title: "buy milk", done: false, revision: 1 });
    for (const other of [beside, there]) assert.deepEqual(await other.next("created"), entry);
    assert.deepEqual([await there.request("list"), await there.request("read", entry.id)], [[entry], entry]);

    entry = await there.request("update", { id: entry.id, revision: 1, done: true });
    assert.deepEqual(entry, { id: entry.id, title: "buy milk", done: true, revision: 2 });
    for (const other of [here, beside]) assert.deepEqual(await other.next("updated"), entry);
    assert.deepEqual([here.got("created"), there.got("updated")], [[], []]);
  });

  it("lets one of two updates of the same revision win, and shows the other client what it is now", async () => {
    const update = (client, title) => client.request("update", { id: entry.id, revision: entry.revision, title });
    const [one, two] = await Promise.allSettled([update(here, "buy oats"), update(there, "buy rice")]);
    const [won, lost] = one.status === "fulfilled" ? [one, two] : [two, one];
    assert.equal(won.value.revision, 3);
    assert.deepEqual(lost.reason.answer, { kind: "conflict", current: won.value });
    entry = await there.request("read", entry.id);
    assert.deepEqual(entry, won.value);
  });

  it("says by the ack what is wrong, and tells nobody", async () => {
    for (const wrong of [{ title: " " }, { title: 7 }, {}, null]) {
      assert.equal((await failure(here.request("create", wrong))).kind, "invalid");
    }
    for (const [event, data] of [["read", -1], ["update", { id: -1, revision: 1 }], ["delete", -1]]) {
      assert.deepEqual(await failure(here.request(event, data)), { kind: "notFound" });
    }
    assert.equal(await here.request("delete", entry.id), entry.id);
    assert.equal(await there.next("deleted"), entry.id);
    assert.deepEqual(there.events().filter((event) => event === "created").length, 1);
  });

  it("is the same list on a server that has just started", async () => {
    entry = await there.request("create", { title: "sleep" });
    await servers[0].stop();
    servers[0] = await start();
    assert.deepEqual(await (await connect(0)).request("list"), [entry]);
  });
});

// The messenger as two processes over Redis.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { startBroker } from "../broker.js";
import { Client, startServer } from "../nodes.js";

describe("the messenger on two servers", () => {
  let broker;
  const servers = [];
  const tabs = [];

  before(async () => {
    process.env.MESSENGER_KEY = "secret";
    broker = await startBroker("redis");
    for (let n = 0; n < 2; n++) servers.push(await startServer("messenger", "--adapter", broker.url));
  });
  after(async () => {
    for (const { socket } of tabs) socket.disconnect();
    const endings = await Promise.allSettled(servers.map((server) => server.stop()));
    await broker?.stop();
    for (const { reason } of endings) assert.ifError(reason);
  });

  function connect(index, auth) {
    const tab = new Client(servers[index].url, { auth });
    tabs.push(tab);
    return tab;
  }
  async function open(index, auth) {
    const tab = connect(index, auth);
    tab.session = await tab.next("session");
    return tab;
  }
  const refused = (index, auth) =>
    new Promise((resolve, reject) => {
      const { socket } = connect(index, auth);
      socket.on("connect", () => reject(new Error(`${JSON.stringify(auth)} was let in`)));
      socket.on("connect_error", ({ message }) => resolve(message));
    });
  const told = (tab, event, name) => tab.got(event).filter((it) => it === name).length;
  const tells = (tab, event, name) => tab.until(`${event} ${name}`, () => told(tab, event, name) > 0);

  let ada, adaElsewhere, bob, carol;

  it("brings a message to every tab of its two users, and to nobody else", async () => {
    bob = await open(1, { name: "Bob" });
    carol = await open(0, { name: "Carol" });
    ada = await open(0, { name: "Ada" }); // after them, so they are told
    adaElsewhere = await open(1, { session: ada.session.session });
    assert.deepEqual(adaElsewhere.session, ada.session);
    for (const tab of [ada, bob]) assert.deepEqual(await tab.request("users"), ["Ada", "Bob", "Carol"]);

    await bob.request("say", { to: "Ada", text: "hello" });
    await bob.request("say", { to: "Carol", text: "and you" });
    await carol.next("said");
    const hello = { from: "Bob", to: "Ada", text: "hello" };
    const andYou = { from: "Bob", to: "Carol", text: "and you" };
    for (const tab of [ada, adaElsewhere]) {
      await tab.next("said");
      await carol.request("say", { to: "Ada", text: "the last" });
      await tab.until("the last", () => tab.got("said").some(({ text }) => text === "the last"));
      assert.deepEqual(tab.got("said").filter(({ text }) => text !== "the last"), [hello]);
    }
    assert.deepEqual(carol.got("said").filter(({ from }) => from === "Bob"), [andYou]);
    assert.deepEqual(bob.got("said"), [hello, andYou]);
  });

  it("knows on either server whose name is taken and which session is none", async () => {
    assert.equal(await refused(1, { name: "Carol" }), "this name is taken");
    const { session } = carol.session;
    assert.equal(await refused(1, { session: session.replace("Carol", "Bob") }), "this session is not valid");
  });

  it("tells once that a user is there, and once that the last tab has gone, on whichever server", async () => {
    const watching = [bob, carol];
    for (const tab of watching) await tells(tab, "online", "Ada");
    ada.socket.disconnect(); // the other tab stays
    const dora = await open(0, { name: "Dora" });
    for (const tab of watching) await tells(tab, "online", "Dora");
    for (const tab of watching) assert.equal(told(tab, "offline", "Ada"), 0);

    adaElsewhere.socket.disconnect();
    for (const tab of watching) await tells(tab, "offline", "Ada");
    assert.deepEqual(await bob.request("users"), ["Bob", "Carol", "Dora"]);
  });

  it("knows a session after its server has gone, and forgets the users of one that has crashed", async () => {
    await servers.shift().kill();
    for (const name of ["Carol", "Dora"]) await tells(bob, "offline", name);
    assert.deepEqual([told(bob, "online", "Ada"), told(bob, "offline", "Ada")], [1, 1]);
    const again = await open(0, { session: carol.session.session });
    assert.deepEqual(await again.request("users"), ["Bob", "Carol"]);
  });
});

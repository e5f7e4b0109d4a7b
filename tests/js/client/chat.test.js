import assert from "node:assert/strict";
import { once } from "node:events";
import { after, afterEach, before, describe, it } from "node:test";
import { startChat, User } from "../chat.js";
import { Client, eventually, run } from "../nodes.js";

describe("the chat", () => {
  let chat;
  let clients = [];
  before(async () => (chat = await startChat()));
  afterEach(() => {
    for (const client of clients) client.socket.disconnect();
    clients = [];
  });
  after(async () => {
    chat.child.kill("SIGTERM");
    assert.deepEqual(await chat.exited, [0, null], chat.errors());
    assert.equal(chat.errors(), "");
  });

  async function user(index, name, headers) {
    const client = new Client(chat.urls[index], { auth: { name }, headers });
    clients.push(client);
    await client.until("the connection", () => client.socket.connected);
    client.state = User.prototype.state;
    client.ask = (event, data) => client.socket.timeout(20_000).emitWithAck(event, data);
    return client;
  }
  const port = (index) => Number(new URL(chat.urls[index]).port);
  const node = (index) => `node-${port(index)}`;

  it("carries a message to the room on every node, with its sender and its node", async () => {
    const users = [await user(0, "Ada"), await user(1, "Grace"), await user(2, "Linus")];
    for (const it of users) assert.deepEqual(await it.ask("join", { room: " tea " }), { ok: "tea" });
    for (const at of [17.5, 18.5]) {
      assert.deepEqual(await users[1].ask("message", { room: "tea", text: " <b>hi</b> ", at }), { ok: true });
    }
    const { id: by } = (await users[1].next("state")).cards.find((card) => card.node === node(1));
    const sent = { id: users[1].id, room: "tea", text: "<b>hi</b>", name: "Grace", node: node(1), port: port(1), by };
    for (const it of users) {
      await it.until("both messages", () => it.got("message").length === 2);
      assert.deepEqual(it.got("message"), [{ ...sent, seq: 1, at: 17.5 }, { ...sent, seq: 2, at: 18.5 }]);
      await it.state("the count of them", ({ cards }) => cards.find(({ node }) => node === sent.node).said.tea === 2);
    }
  });

  it("carries numbers, as many as a page sends", async () => {
    const [ada, grace] = [await user(0, "Ada"), await user(1, "Grace")];
    for (const it of [ada, grace]) await it.ask("join", { room: "tea" });
    for (let n = 0; n < 3; n++) assert.deepEqual(await ada.ask("number", { room: "tea", run: 4, n, of: 3, at: n }), { ok: true });
    await grace.until("all of them", () => grace.got("number").length === 3);
    const expected = [0, 1, 2].map((n) => ({ id: ada.id, run: 4, n, of: 3, at: n, name: "Ada", node: node(0) }));
    assert.deepEqual(grace.got("number"), expected);
  });

  it("tells who is where on all nodes, and tells it again when that has changed", async () => {
    const users = [await user(0, "Ada"), await user(1, "Grace"), await user(2)];
    await users[0].ask("join", { room: "tea" });
    await users[0].ask("join", { room: "cake" });
    await users[0].ask("name", { name: "Ada L." });
    const guest = `guest-${users[2].id.slice(0, 4)}`;
    const expected = [
      { node: node(0), port: port(0), users: [{ name: "Ada L.", rooms: ["cake", "tea"] }] },
      { node: node(1), port: port(1), users: [{ name: "Grace", rooms: [] }] },
      { node: node(2), port: port(2), users: [{ name: guest, rooms: [] }] },
    ].sort((a, b) => (a.node < b.node ? -1 : 1));
    const who = () => users[1].ask("who", null);
    await eventually("those before are gone", async () => (await who()).ok.nodes.every(({ users }) => users.length === 1));
    assert.deepEqual(await who(), { ok: { nodes: expected, missing: 0 } });
    const shown = ({ cards }) => cards.map(({ node, port, users }) => ({ node, port, users }));
    const same = (state) => JSON.stringify(shown(state)) === JSON.stringify(expected);
    for (const it of users) await it.state("everyone on the cards", same);
    users[0].socket.disconnect();
    const empty = (nodes) => nodes.find((it) => it.node === node(0)).users.length === 0;
    await users[1].state("Ada is gone from the cards", ({ cards }) => empty(cards));
    await eventually("Ada is gone", async () => empty((await who()).ok.nodes));
  });

  it("tells each page the state of its node", async () => {
    const client = await user(1, "Ada");
    const state = await client.next("state");
    assert.deepEqual([state.node, state.port, state.degraded], [node(1), port(1), null]);
    assert.equal(state.nodes[0], node(1));
    assert.deepEqual([...state.nodes].sort(), [0, 1, 2].map(node).sort());
    assert.ok(state.health >= 0 && state.health < 10_000);
    await client.state("the round trip", ({ round_trip }) => round_trip > 0);
    const own = state.cards.find((card) => card.node === node(1));
    assert.deepEqual([own.state, own.lost, own.gone], ["up", 0, null]);
  });

  it("lets pages of this machine alone kill its broker", async () => {
    const stranger = await user(0, "Mallory", { origin: "https://example.org" });
    const local = await user(0, "Ada", { origin: chat.urls[0] });
    stranger.socket.emit("demo", { do: "kill_broker" }, () => assert.fail("a stranger is answered"));
    await stranger.ask("who", null);
    const before = local.got("state").length;
    // Orders are carried out one after the other, and this one is refused.
    assert.match((await local.ask("demo", { do: "start", port: port(0) })).error, /runs/);
    assert.match((await local.ask("demo", { do: "freeze", port: 1 })).error, /no such server/);
    assert.ok((await local.ask("demo", { do: "burn" })).error);
    await local.until("a newer state", () => local.got("state").length > before);
    const { demo } = local.got("state").at(-1);
    assert.deepEqual([demo.broker, demo.log], [true, []]);
    assert.deepEqual(demo.nodes.map(({ runs, frozen }) => [runs, frozen]), Array(3).fill([true, false]));
  });

  it("does not show a message to those who left the room", async () => {
    const [ada, grace] = [await user(0, "Ada"), await user(1, "Grace")];
    for (const it of [ada, grace]) await it.ask("join", { room: "tea" });
    await ada.ask("leave", { room: "tea" });
    await ada.ask("join", { room: "end" });
    await grace.ask("join", { room: "end" });
    await grace.ask("message", { room: "tea", text: "secret" });
    await grace.ask("message", { room: "end", text: "end" });
    assert.equal((await ada.next("message")).text, "end");
  });

  it("refuses what is empty, too long, not its own, or of another shape, and says why", async () => {
    const client = await user(0, "Ada");
    await client.ask("join", { room: "tea" });
    const refused = [
      ["join", { room: " " }], ["join", { room: "x".repeat(33) }], ["join", { room: 7 }], ["join", null], ["join", "tea"],
      ["leave", { room: "cake" }], ["message", { room: "tea", text: "" }], ["message", { room: "tea", text: "x".repeat(501) }],
      ["message", { room: "cake", text: "hi" }], ["message", { room: "tea" }], ["message", [[]]], ["message", Buffer.from([0])],
      ["message", { room: client.id, text: "hi" }], ["number", { room: "tea", run: 1, n: 3, of: 3, at: 1 }],
      ["number", { room: "cake", run: 1, n: 0, of: 3, at: 1 }], ["number", { room: "tea", run: 1, n: 0, of: 2e9, at: 1 }], ["name", { name: "" }], ["name", { name: "a\u0007" }],
    ];
    for (const [event, data] of refused) {
      const { ok, error } = await client.ask(event, data);
      assert.ok(ok === undefined && error?.length > 0, `${event} ${JSON.stringify(data)}`);
    }
    assert.deepEqual(await client.ask("message", { room: "tea", text: "é".repeat(500) }), { ok: true });
  });

  it("lets nobody join more than twenty rooms", async () => {
    const client = await user(0, "Ada");
    for (let n = 0; n < 20; n++) assert.ok((await client.ask("join", { room: `r${n}` })).ok);
    assert.match((await client.ask("join", { room: "one more" })).error, /20 rooms/);
  });

  it("serves its page and all that the page loads itself", async () => {
    const page = await (await fetch(chat.urls[0])).text();
    const loaded = [...page.matchAll(/(?:src|href)="(\/[^"]*)"/g)].map(([, path]) => path);
    assert.ok(loaded.length >= 2);
    for (const path of loaded) assert.equal((await fetch(chat.urls[0] + path)).status, 200);
    assert.doesNotMatch(page.replace("http://www.w3.org/2000/svg", ""), /https?:/);
  });
});

describe("the chat's command line", () => {
  it("without an adapter leaves every node alone", async () => {
    const chat = await startChat("--nodes", "2", "--adapter", "none");
    const [ada, grace] = chat.urls.map((url) => new Client(url, { auth: { name: "x" } }));
    for (const client of [ada, grace]) {
      await client.until("the connection", () => client.socket.connected);
      await client.socket.timeout(20_000).emitWithAck("join", { room: "tea" });
    }
    await ada.socket.timeout(20_000).emitWithAck("message", { room: "tea", text: "alone" });
    await grace.socket.timeout(20_000).emitWithAck("message", { room: "tea", text: "alone too" });
    assert.equal((await ada.next("message")).text, "alone");
    assert.equal((await grace.next("message")).text, "alone too");
    assert.equal((await ada.socket.timeout(20_000).emitWithAck("who", null)).ok.nodes.length, 1);
    const { health, round_trip, demo, cards } = await ada.next("state");
    assert.deepEqual([health, round_trip, demo, cards.map(({ state }) => state)], [null, null, null, ["alone"]]);
    chat.child.kill("SIGINT");
    await Promise.all([ada.gone(), grace.gone()]);
    assert.deepEqual(await chat.exited, [0, null]);
  });

  const ending = async (...args) => {
    const chat = run("chat", args, { timeout: 20_000 });
    const [code] = await chat.exited;
    return { code, errors: chat.errors() };
  };

  it("helps", async () => {
    const chat = run("chat", ["--help"]);
    const [line] = await once(chat.lines, "line");
    assert.match(line, /several Socket.IO servers/);
    assert.equal((await chat.exited)[0], 0);
  });

  it("says what is wrong with it, and ends with 2", async () => {
    for (const args of [["--nodes", "0"], ["--port", "x"], ["--adapter", "chat"], ["--what"]]) {
      const { code, errors } = await ending(...args);
      assert.equal(code, 2, args.join(" "));
      assert.match(errors, /^chat: .*\n\n.*\n\nUsage/);
    }
  });

  it("names a backend that is not there, and ends with 1", async () => {
    const { code, errors } = await ending("--port", "0", "--adapter", "carrier-pigeon://loft");
    assert.equal(code, 1);
    assert.match(errors, /memory/);
  });

  it("names a port that is taken, and ends with 1", async () => {
    const chat = await startChat("--nodes", "1");
    const { code, errors } = await ending("--port", new URL(chat.urls[0]).port, "--nodes", "1");
    assert.equal(code, 1);
    assert.match(errors, /cannot listen on/);
    chat.child.kill("SIGTERM");
    await chat.exited;
  });
});

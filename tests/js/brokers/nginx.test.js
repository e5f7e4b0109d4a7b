// deploy/nginx.conf before three chat processes over Redis, by polling, by WebSocket, and from one to the other.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { Agent } from "node:http";
import { after, afterEach, before, describe, it } from "node:test";
import { startBroker } from "../broker.js";
import { startNode, User } from "../chat.js";
import { startProxy } from "../proxy.js";

const MOST_NETWORKS = 60; // of which nginx has to spread some over all three nodes

describe("three chat processes behind nginx", () => {
  let broker, proxy;
  let nodes = [];
  const networks = new Map(); // a node's name -> a client's address that nginx sends there
  let users = [];
  const agents = [];

  before(async () => {
    broker = await startBroker("redis");
    nodes = await Promise.all(["one", "two", "three"].map((name) => startNode(broker.url, name)));
    proxy = await startProxy(nodes.map(({ port }) => port));
    for (let network = 1; networks.size < 3; network++) {
      assert.ok(network <= MOST_NETWORKS, `nginx sends all networks to ${[...networks.keys()]}`);
      const address = `127.0.${network}.1`;
      networks.set((await (await enter(address, ["websocket"])).next("state")).node, address);
      leave();
    }
  });
  const leave = () => {
    for (const user of users) user.socket.disconnect();
    users = [];
  };
  afterEach(leave);
  after(async () => {
    for (const agent of agents) agent.destroy();
    const endings = await Promise.allSettled(nodes.map((node) => node.stop()));
    await proxy?.stop();
    await broker?.stop();
    for (const { reason } of endings) assert.ifError(reason);
  });

  /** A user whose requests all come from that address. */
  async function enter(localAddress, transports, name = "Ada") {
    const agent = new Agent({ localAddress, keepAlive: true });
    agents.push(agent);
    const user = await User.enter(proxy.url, name, { transports, agent });
    users.push(user);
    return user;
  }
  const transport = (user) => user.socket.io.engine.transport.name;

  it("have ports of their own in compose.yaml, those that nginx sends to", async () => {
    const file = (name) => readFile(new URL(`../../../${name}`, import.meta.url), "utf8");
    const [conf, compose] = await Promise.all([file("deploy/nginx.conf"), file("compose.yaml")]);
    const servers = [...conf.matchAll(/server (\w+):(\d+);/g)];
    assert.equal(new Set(servers.map(([, , port]) => port)).size, 3);
    for (const [, name, port] of servers) {
      const service = compose.slice(compose.search(new RegExp(`^  ${name}:`, "m"))).split(/\n  \w+:/)[0];
      assert.ok(service.includes(`"--port", "${port}", "--name", "${name}"`), service);
      assert.ok(service.includes(`ports: ["${port}:${port}"]`), service);
    }
  });

  it("each get clients of other networks", () => {
    assert.deepEqual([...networks.keys()].sort(), nodes.map(({ name }) => name).sort());
  });

  for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
    it(`chat by ${transports.join(", then ")}`, async () => {
      const before = (await proxy.requests()).length;
      const all = [];
      for (const [node, address] of networks) {
        const user = await enter(address, transports, `of ${node}`);
        all.push(user);
        assert.equal((await user.next("state")).node, node);
      }
      // The last of them is what is used in the end.
      for (const user of all) await user.until(`the transport ${transports.at(-1)}`, () => transport(user) === transports.at(-1));
      for (const user of all) {
        const text = `${transports} of ${user.got("state")[0].node}`;
        await user.say(text);
        for (const other of all) assert.equal((await other.heard(text)).node, user.got("state")[0].node);
      }
      // Polling without stickiness: the first request that reaches another server is answered 400. So is the last one of a
      // session that was just ended, as those of the test before are.
      const ours = new Set(all.map(({ socket }) => socket.io.engine.id));
      for (const { path, status } of (await proxy.requests()).slice(before)) {
        const session = new URL(path, proxy.url).searchParams.get("sid");
        if (session === null || ours.has(session)) assert.ok(status < 400, `${path}: ${status}`);
      }
    });
  }

  it("keep each client of polling at its server over many requests", async () => {
    const [address] = networks.values();
    const [node] = networks.keys();
    const user = await enter(address, ["polling"]);
    for (let n = 0; n < 20; n++) await user.say(`message ${n}`);
    await user.heard("message 19");
    assert.deepEqual(user.texts(), Array.from({ length: 20 }, (_, n) => `message ${n}`));
    await user.next("state");
    assert.deepEqual([...new Set(user.got("state").map((state) => state.node))], [node]);
    const polls = (await proxy.requests()).filter(({ from, path }) => from === address && path.includes("transport=polling"));
    assert.ok(polls.length > 20, `${polls.length} requests`);
  });

  it("are reached by browsers that ask for the page", async () => {
    const answer = await fetch(proxy.url);
    assert.equal(answer.status, 200);
    assert.match(await answer.text(), /Roomcast chat/);
  });

  it("take over the clients of one that is killed", async () => {
    const [[node, address], [other, elsewhere]] = networks;
    const user = await enter(address, ["websocket"]);
    const friend = await enter(elsewhere, ["websocket"], "Grace");
    const index = nodes.findIndex(({ name }) => name === node);
    const [killed] = nodes.splice(index, 1);
    killed.child.kill("SIGKILL");
    await user.gone();
    const again = await enter(address, ["polling", "websocket"]);
    const now = (await again.next("state")).node;
    assert.notEqual(now, node);
    await again.say("moved");
    assert.equal((await friend.heard("moved")).node, now);
    assert.equal((await friend.next("state")).node, other);
  });
});

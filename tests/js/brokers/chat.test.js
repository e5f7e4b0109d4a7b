// Several chat processes over one broker: what joins them, and what its death does to them.
import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { setInterval } from "node:timers/promises";
import { startBroker } from "../broker.js";
import { startNode, User } from "../chat.js";
import { eventually, run } from "../nodes.js";

// Two at once: most of the time they wait.
describe("chat processes", { concurrency: 2 }, () => {
  for (const kind of ["redis", "nats", "rabbitmq", "postgres"])
    describe(`over ${kind}`, { concurrency: 1 }, () => about(kind));
});

function about(kind) {
  let broker;
  let nodes = [];
  let users = [];
  before(async () => {
    broker = await startBroker(kind);
    nodes = await Promise.all(["a", "b", "c"].map((name) => startNode(broker.url, name)));
  });
  afterEach(() => {
    for (const user of users) user.socket.disconnect();
    users = [];
  });
  after(async () => {
    const endings = await Promise.allSettled(nodes.map((node) => node.stop()));
    await broker?.stop();
    for (const { reason } of endings) assert.ifError(reason);
  });

  async function enter(node, name) {
    const user = await User.enter(node.url, name);
    users.push(user);
    return user;
  }

  /** One user on each node, all of them seen by all. */
  async function crowd() {
    const all = await Promise.all(nodes.map((node, index) => enter(node, ["Ada", "Grace", "Linus"][index])));
    const expected = Object.fromEntries(nodes.map((node, index) => [node.name, [["Ada", "Grace", "Linus"][index]]]));
    for (const user of all) await seen(user, "everyone", (who) => same(who, { missing: 0, nodes: expected }));
    return all;
  }
  const same = (a, b) => {
    try {
      assert.deepEqual(a, b);
      return true;
    } catch {
      return false;
    }
  };
  const seen = (user, what, question) => eventually(`${what} is seen`, async () => question(await user.who()));
  const degraded = (user) => user.state("degraded", (state) => state.degraded !== null);
  const healthy = (user) => user.state("healthy", (state) => state.degraded === null && state.health < 2500);
  const inOrder = (texts) => texts.map((text) => Number(text.split(" ").at(-1)));

  it("carry messages both ways, and know who is where", async () => {
    const [ada, grace, linus] = await crowd();
    await ada.say("to everyone");
    for (const user of [ada, grace, linus]) {
      const { name, node, port } = await user.heard("to everyone");
      assert.deepEqual([name, node, port], ["Ada", nodes[0].name, nodes[0].port]);
    }
    await grace.say("and back");
    for (const user of [ada, linus]) assert.equal((await user.heard("and back")).node, nodes[1].name);
    assert.deepEqual(ada.texts(), ["to everyone", "and back"]);
    for (const user of [ada, grace, linus]) assert.equal((await healthy(user)).nodes.length, 3);
  });

  it("keep the order of each sender", async () => {
    const [ada, grace, linus] = await crowd();
    const many = Array.from({ length: 100 }, (_, n) => n);
    await Promise.all([ada, grace].map(async (user) => {
      for (const n of many) await user.say(`${user === ada ? "ada" : "grace"} ${n}`);
    }));
    for (const user of [ada, grace, linus]) {
      await Promise.all([user.heard("ada 99"), user.heard("grace 99")]);
      const from = (name) => inOrder(user.texts().filter((text) => text.startsWith(name)));
      assert.deepEqual(from("ada"), many);
      assert.deepEqual(from("grace"), many);
    }
  });

  it("miss one that is killed, and take in one that is new", async (t) => {
    const [ada, grace] = await crowd();
    const [killed] = nodes.splice(2, 1);
    const since = performance.now();
    killed.child.kill("SIGKILL");
    await killed.exited;
    for (const user of [ada, grace]) {
      await user.state("the killed node is gone", ({ nodes }) => nodes.length === 2 && !nodes.includes(killed.name));
    }
    t.diagnostic(`gone from the others ${Math.round(performance.now() - since)} ms after kill -9`);
    for (const user of [ada, grace]) {
      await seen(user, "the rest", ({ nodes, missing }) => missing === 0 && !(killed.name in nodes));
      assert.equal((await healthy(user)).nodes.length, 2);
    }
    nodes.push(await startNode(broker.url, "c"));
    const linus = await enter(nodes[2], "Linus");
    await seen(ada, "the new one", ({ nodes: all }) => all[nodes[2].name]?.includes("Linus"));
    await ada.say("welcome");
    await linus.heard("welcome");
  });

  it("evict nobody who was stopped for a while", async () => {
    const [ada, grace, linus] = await crowd();
    const stopped = nodes[2];
    let from;
    // None of it longer than a node may be silent. A machine that stands still itself makes it longer: then once more.
    for (let took = Infinity; took > 1_200;) {
      await seen(ada, "everyone", ({ nodes, missing }) => missing === 0 && nodes[stopped.name]?.includes("Linus"));
      from = [ada, grace].map((user) => user.got("state").length);
      const since = performance.now();
      stopped.child.kill("SIGSTOP");
      await ada.until("the next state", () => ada.got("state").length > from[0]); // one each second
      await ada.say("while you slept");
      stopped.child.kill("SIGCONT");
      took = performance.now() - since;
    }
    await linus.heard("while you slept");
    await linus.say("good morning");
    for (const [index, user] of [ada, grace].entries()) {
      await user.heard("good morning");
      await user.until("two more states", () => user.got("state").length >= from[index] + 4);
      for (const { nodes } of user.got("state").slice(from[index])) {
        assert.ok(nodes.includes(stopped.name), `${stopped.name} is not among ${nodes}`);
      }
      await seen(user, "everyone", ({ nodes, missing }) => missing === 0 && nodes[stopped.name]?.includes("Linus"));
    }
  });

  it("outlive their broker, and what was said meanwhile arrives or is known to be lost", async (t) => {
    const all = await crowd();
    const [ada, grace, linus] = all;
    const names = ["ada", "grace"]; // who talk all the time, each node hearing one over the broker at least
    const people = new Map([[ada, "Ada"], [grace, "Grace"], [linus, "Linus"]]);
    let over = false;
    const talk = async (user, name) => {
      let n = 0;
      for await (const _ of setInterval(20)) {
        if (over) return n;
        await user.say(`${name} ${n++}`);
      }
    };
    const talking = Promise.all([talk(ada, "ada"), talk(grace, "grace")]);
    talking.catch(() => {}); // seen below, where it is awaited
    await Promise.all(all.flatMap((user) => names.map((name) => user.heard(`${name} 9`))));

    await broker.kill();
    const killed = performance.now();
    for (const user of all) assert.match((await degraded(user)).degraded, /\w/);
    t.diagnostic(`all pages told of the outage ${Math.round(performance.now() - killed)} ms after kill -9`);
    await ada.say("in the dark");
    await ada.heard("in the dark"); // local sockets are served as ever
    // For longer than a node may be silent.
    await Promise.all(all.map(async (user) => {
      const from = user.got("state").length;
      await user.until("three more states", () => user.got("state").length >= from + 3);
    }));
    const missing = await ada.who();
    assert.deepEqual([missing.missing, missing.nodes[nodes[0].name]], [2, ["Ada"]]);
    for (const user of all) assert.equal(user.got("state").at(-1).nodes.length, 3, "an outage condemns nobody");
    assert.ok(!linus.texts().includes("in the dark"));

    const heardSoFar = all.map((user) => user.texts().length);
    await broker.start();
    const back = performance.now();
    const ms = () => Math.max(0, Math.round(performance.now() - back));
    const foreign = (user, from) => user.got("message").slice(from).some(({ name }) => name !== people.get(user));
    const first = await Promise.all(all.map(async (user, index) => {
      await user.until("a message of another node", () => foreign(user, heardSoFar[index]));
      return ms();
    }));
    t.diagnostic(`${kind}: the first message came to the three nodes ${first.join(", ")} ms after the broker was back`);
    await Promise.all(all.map(healthy));
    t.diagnostic(`${kind}: all pages told of the recovery ${ms()} ms after the broker was back`);

    over = true;
    const sent = await talking;
    await Promise.all([ada.say("end of ada"), grace.say("end of grace")]);
    for (const user of all) {
      await Promise.all([user.heard("end of ada"), user.heard("end of grace")]);
      for (const [index, name] of names.entries()) {
        const numbers = inOrder(user.texts().filter((text) => text.startsWith(`${name} `)));
        assert.deepEqual(numbers, [...new Set(numbers)].sort((a, b) => a - b), "in order, once");
        // A sender may be back before a receiver: what it sent by then is lost to that one, which is told so.
        const absent = sent[index] - numbers.length;
        const lost = () => user.got("lost").filter(({ node }) => node === nodes[index].name);
        const told = () => lost().reduce((sum, { count }) => sum + count, 0);
        await user.until(`word of ${absent} lost messages`, () => told() >= absent);
        t.diagnostic(`${kind}: ${people.get(user)} got ${numbers.length} of ${sent[index]} from ${name}, ${told()} events told lost`);
        if (user === all[index]) assert.equal(absent, 0);
      }
      await seen(user, "everyone", ({ nodes, missing }) => missing === 0 && Object.keys(nodes).length === 3);
    }
  });

  it("end when told to while their broker is away", async () => {
    const other = await startBroker(kind);
    const node = await startNode(other.url);
    const user = await enter(node, "Ada");
    await other.stop();
    await degraded(user);
    node.child.kill("SIGTERM");
    const [code, signal] = await node.exited;
    assert.equal(signal, null);
    assert.doesNotMatch(node.errors(), /panicked/);
    assert.ok(code === 0 || /^chat: .+/.test(node.errors()), node.errors());
  });

  describe("that cannot start", () => {
    const ending = async (url) => {
      const chat = run("chat", ["--nodes", "1", "--port", "0", "--adapter", url], { timeout: 20_000 });
      const [code] = await chat.exited;
      return { code, errors: chat.errors() };
    };
    const secret = "hunter2";
    const wrong = {
      "say which option they do not know": [`?colour=red`, /option/],
      "say that the broker is down": ["", /(Redis|NATS|RabbitMQ|PostgreSQL) server.* cannot be reached/],
    };
    for (const [what, [query, sentence]] of Object.entries(wrong)) {
      it(what, async () => {
        const nobody = await startBroker(kind);
        await nobody.stop();
        const { code, errors } = await ending(`${nobody.url.replace("://", `://app:${secret}@`)}${query}`);
        assert.equal(code, 1);
        assert.match(errors, /^chat: .+\n$/);
        assert.match(errors, sentence);
        assert.doesNotMatch(errors, new RegExp(secret));
      });
    }
  });
}

// A rolling update: three chat processes over Redis are replaced one after the other, while clients of all three talk.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { freePort, startBroker } from "../broker.js";
import { startNode } from "../chat.js";
import { eventually } from "../nodes.js";
import { Roamer } from "../roamer.js";

const AT_ONCE = 60; // half of the packets that socketioxide holds for one client

describe("chat processes that are replaced one after the other", () => {
  let broker;
  const nodes = [];
  const roamers = [];
  const words = []; // all that was said, in the order of sending

  before(async () => {
    broker = await startBroker("redis");
    for (const name of ["a", "b", "c"]) nodes.push(await startNode(broker.url, name, await freePort()));
  });
  after(async () => {
    for (const roamer of roamers) roamer.leave();
    const endings = await Promise.allSettled(nodes.map((node) => node.stop()));
    await broker?.stop();
    for (const { reason } of endings) assert.ifError(reason);
  });

  /** Two users of a server, who part when it stops. */
  async function settle(index, name) {
    const [first, second, third] = [0, 1, 2].map((step) => nodes[(index + step) % 3].url);
    const pair = [
      new Roamer(`${name} by WebSocket`, [first, second, third], words),
      new Roamer(`${name} by polling`, [first, third, second], words, { transports: ["polling"] }),
    ];
    roamers.push(...pair);
    await settled(pair);
  }

  const settled = (all) =>
    eventually("each is at a server that accepts what it says", () =>
      all.every(({ here }) => here?.said.filter(({ accepted }) => accepted).length >= 3));

  /** Stops a server under load. Resolves with the milliseconds until it had ended, when its clients are elsewhere. */
  async function replace(index, { moving }) {
    const old = nodes[index];
    const start = words.length;
    const bursts = moving.map(({ roamer }) => roamer.burst(AT_ONCE / moving.length));
    await eventually("the first of them is accepted", () => words.slice(start).some(({ burst, accepted }) => burst && accepted));
    const since = performance.now();
    await old.stop(); // throws unless the exit code is 0
    const ended = Math.round(performance.now() - since);
    await Promise.all(bursts);
    await eventually("its clients have lost it", () => moving.every(({ visit }) => visit.reason !== null));
    await settled(moving.map(({ roamer }) => roamer));
    nodes[index] = await startNode(broker.url, old.name.split("-")[0], old.port);
    await settle(index, `new ${old.name}`);
    return ended;
  }

  /** The others saw it leave, with all who were there. */
  async function seenToLeave(name, { staying, moving }) {
    for (const { visit: { user } } of staying) {
      await user.state(`${name} has left`, ({ log }) => log.some(({ text }) => text === `${name} has left`));
      const left = () => user.got("moved").filter(({ node, what }) => node === name && what === "left");
      await user.until("word of all that were disconnected", () => left().length >= moving.length);
      assert.deepEqual(left().map((it) => it.name).sort(), moving.map(({ roamer }) => roamer.name).sort());
    }
  }

  /** Those who stayed have all that was accepted. */
  async function nothingLost(said, { staying }) {
    await eventually("all is answered", () => said.every(({ accepted, refused }) => accepted || refused !== null));
    const accepted = said.filter((word) => word.accepted);
    for (const { roamer, visit } of staying) {
      assert.equal(roamer.here, visit, `${roamer.name} has lost its connection: ${visit.reason}`);
      await eventually(`${roamer.name} has all that was accepted`, () => {
        const heard = new Set(visit.user.texts());
        return accepted.every(({ text }) => heard.has(text));
      });
    }
  }

  it("lose nothing that they have accepted, and their clients move", async (t) => {
    for (const [index, { name }] of nodes.entries()) await settle(index, name);
    for (const [index, { name, url }] of [...nodes].entries()) {
      const all = roamers.map((roamer) => ({ roamer, visit: roamer.here }));
      const moving = all.filter(({ visit }) => visit.url === url);
      const staying = all.filter(({ visit }) => visit.url !== url);
      assert.equal(new Set(staying.map(({ visit }) => visit.url)).size, 2, "both of the others have clients that stay");
      const start = words.length;

      const ended = await replace(index, { moving });
      await seenToLeave(name, { staying, moving });
      const said = words.slice(start);
      await nothingLost(said, { staying });

      const heard = new Set(staying[0].visit.user.texts());
      const refused = said.filter((word) => word.refused !== null);
      t.diagnostic(
        `${name} ended ${ended} ms after SIGTERM; ${moving.length} clients moved, ${staying.length} stayed; ${said.length} said, ` +
          `${refused.length} of them not accepted, ${refused.filter(({ text }) => heard.has(text)).length} of these heard`,
      );
    }

    await Promise.all(roamers.map((roamer) => roamer.hush()));
    await Promise.all(roamers.map(({ here, name }) => here.user.say(`end of ${name}`)));
    for (const { here } of roamers) for (const { name } of roamers) await here.user.heard(`end of ${name}`);
    const bursts = new Set(words.filter(({ burst }) => burst).map(({ text }) => text));
    for (const { name, visits } of roamers) {
      for (const { user, url } of visits) {
        const texts = user.texts();
        assert.equal(new Set(texts).size, texts.length, `${name} has something twice from ${url}`);
        assertOrder(texts.filter((text) => !bursts.has(text) && !text.startsWith("end of ")));
        assert.deepEqual(user.got("lost"), []);
        for (const { log } of user.got("state")) {
          for (const { kind, text } of log) assert.ok(kind !== "gap" && !text.endsWith("has died"), text);
        }
      }
    }
  });
});

/** What one user said in one visit comes in this order. Over two servers its words may overtake each other. */
function assertOrder(texts) {
  const last = new Map();
  for (const text of texts) {
    const [, who, n] = text.match(/^(.*): (\d+)$/);
    assert.ok(Number(n) > (last.get(who) ?? -1), `${text} comes after ${last.get(who)}`);
    last.set(who, Number(n));
  }
}

// The whiteboard as two processes over Redis, with the msgpack parser and binary data.
import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { startBroker } from "../broker.js";
import { Client, fresh, startServer } from "../nodes.js";

const BEAT = 40; // milliseconds: the example's
const AT_ONCE = 100; // socketioxide holds 128 packets for a client, and each ack is one

describe("the whiteboard on two servers", () => {
  let broker;
  let servers = [];
  const pages = [];

  before(async () => {
    broker = await startBroker("redis");
    servers = await Promise.all([0, 1].map(() => startServer("whiteboard", "--adapter", broker.url)));
  });
  afterEach(() => pages.splice(0).forEach(({ socket }) => socket.disconnect()));
  after(async () => {
    const endings = await Promise.allSettled(servers.map((server) => server.stop()));
    await broker?.stop();
    for (const { reason } of endings) assert.ifError(reason);
  });

  /** A page that has the board so far. It gives `own` when another one asks; with `null` it does not reply. */
  async function enter(index, room, own = []) {
    const page = new Client(servers[index].url, { auth: { room }, parser: "msgpack" });
    pages.push(page);
    if (own) page.socket.on("recall", (...args) => args.at(-1)(own));
    page.board = bytes(await page.next("board"));
    return page;
  }
  const draw = (page, stroke) => page.socket.timeout(20_000).emitWithAck("draw", stroke);
  const bytes = (strokes) => strokes.map((stroke) => Buffer.from(stroke));
  const drawn = (page) => bytes(page.got("drawn").flat());
  const all = (page, strokes) => page.until(`${strokes.length} strokes`, () => drawn(page).length >= strokes.length);
  const stroke = (n) => Buffer.from([n >> 8, n & 255, 0, 255]);

  it("shows what one client draws to all others in the room, as binary data", async () => {
    const [room, another] = [fresh("room"), fresh("room")];
    const [ada, bob, carol] = [await enter(0, room), await enter(0, room), await enter(1, room)];
    const apart = [await enter(0, another), await enter(1, another)];
    assert.equal(await draw(ada, stroke(1)), true);
    for (const page of [bob, carol]) {
      await all(page, [1]);
      assert.ok(page.got("drawn")[0][0] instanceof Uint8Array);
      assert.deepEqual(drawn(page), [stroke(1)]);
    }
    // What bob draws now comes to ada after all that she would have got by mistake; and so on.
    for (const [from, to, n] of [[bob, ada, 2], [apart[0], apart[1], 3], [apart[1], apart[0], 4]]) {
      await draw(from, stroke(n));
      await all(to, [n]);
      assert.deepEqual(drawn(to), [stroke(n)]);
    }
  });

  it("gives a newcomer the board so far, by a client of the other server, also if another one is silent", async () => {
    const room = fresh("room");
    const board = [stroke(1), stroke(2), Buffer.alloc(60_000, 7)];
    assert.deepEqual((await enter(0, room, null)).board, []);
    await enter(0, room, board);
    const newcomer = await enter(1, room);
    assert.deepEqual(newcomer.board, board);
  });

  it("passes on what is drawn in one go as few events, whole and in order", async () => {
    const room = fresh("room");
    const [ada, bob] = [await enter(0, room), await enter(1, room)];
    const strokes = Array.from({ length: 4 * AT_ONCE }, (_, n) => stroke(n));
    const since = performance.now();
    for (let n = 0; n < strokes.length; n += AT_ONCE) {
      const taken = await Promise.all(strokes.slice(n, n + AT_ONCE).map((it) => draw(ada, it)));
      assert.ok(taken.every((it) => it === true));
    }
    await all(bob, strokes);
    assert.deepEqual(drawn(bob), strokes);
    const most = Math.ceil((performance.now() - since) / BEAT) + 1;
    assert.ok(bob.got("drawn").length <= most, `${bob.got("drawn").length} events, and ${most} beats`);
  });

  it("says that a stroke was not taken, and goes on", async () => {
    const room = fresh("room");
    const [ada, bob] = [await enter(0, room), await enter(1, room)];
    assert.equal(await draw(ada, Buffer.alloc(5000)), false);
    assert.equal(await draw(ada, stroke(3)), true);
    await all(bob, [3]);
    assert.deepEqual(drawn(bob), [stroke(3)]);
  });
});

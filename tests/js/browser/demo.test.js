// What the page shows when the broker, links and servers are broken by its own buttons. It also takes the pictures of the README:
// target/artifacts/demo.png and chat.png, which are kept in docs/images.
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { after, afterEach, before, describe, it } from "node:test";
import { animate } from "../apng.js";
import { openPage, startBrowser } from "../browser.js";
import { startChat, User } from "../chat.js";
import { artifacts, eventually } from "../nodes.js";

const LARGEST = 600 * 1024; // bytes of the recording
const BETWEEN = 120; // milliseconds from one picture of it to the next
const LONGEST = 1500; // milliseconds that one is seen
const LAST = 4000;

describe("the chat page as a demo", () => {
  let chat, browser;
  let pages = [];
  const complaints = [];

  before(async () => {
    await mkdir(artifacts, { recursive: true });
    browser = await startBrowser();
    // Ports that look as those of the README do, where they are free.
    chat = await startChat("--port", "3001").catch(() => startChat());
  });
  afterEach(async () => {
    for (const page of pages) await page.close();
    pages = [];
  });
  after(async () => {
    await browser?.close();
    chat?.child.kill("SIGTERM");
    const ending = await chat?.exited;
    assert.deepEqual(ending, [0, null], chat?.errors());
    assert.doesNotMatch(chat?.errors() ?? "", /panicked/);
    // What Chromium itself says of a server that was away is no fault of the page.
    assert.deepEqual(complaints.filter((line) => !/ERR_CONNECTION|WebSocket connection/.test(line)), []);
  });

  async function open(index, name, colorScheme) {
    const page = await openPage(browser, `${chat.urls[index]}/#name=${name}`, { complaints, colorScheme });
    pages.push(page);
    await page.locator('#health[data-state="good"]', { hasText: "3 nodes" }).waitFor();
    return page;
  }
  const node = (index) => `node-${new URL(chat.urls[index]).port}`;
  const card = (page, index) => page.locator(`[data-node="${node(index)}"]`);
  const press = (page, name) => page.getByRole("button", { name, exact: true }).click();
  const say = async (page, text) => {
    await page.fill("#text", text);
    await page.press("#text", "Enter");
    await page.locator(".message.mine", { hasText: text }).waitFor();
  };
  const message = (page, text) => page.locator(".message", { hasText: text });
  const logged = (page, kind, text) => page.locator(`#log [data-kind="${kind}"]`, { hasText: text }).first().waitFor();
  const run = (page) => page.locator("#runs li").first();
  const figure = (page, name) => run(page).locator(`[data-of="${name}"] dd`).textContent();
  const atLeast = (page, count) =>
    eventually(`${count} numbers are there`, async () => (await run(page).locator("progress").evaluate((bar) => bar.value)) >= count);
  const all = async (page) => {
    await page.locator('#runs li[data-result="good"]').first().waitFor();
    const figures = await Promise.all(["received", "order", "doubled", "lost"].map((name) => figure(page, name)));
    assert.deepEqual(figures, ["1,000 / 1,000", "yes", "0", "0"]);
  };

  /** Takes pictures until it is told to stop. */
  function record(page) {
    const shots = [];
    let over = false;
    const recording = (async () => {
      while (!over) {
        const at = performance.now();
        shots.push({ at, png: await page.screenshot() });
        await page.waitForTimeout(Math.max(0, at + BETWEEN - performance.now()));
      }
    })();
    return async () => {
      over = true;
      await recording;
      return shots.map(({ at, png }, index) => {
        const next = shots[index + 1];
        return { png, ms: next ? Math.min(next.at - at, LONGEST) : LAST };
      });
    };
  }

  it("gets a thousand messages, in order and once, though the broker is killed and started again", async (t) => {
    const ada = await open(0, "Ada");
    const grace = await open(1, "Grace");
    await say(ada, "I send you 1,000 messages. Kill the broker meanwhile!");
    await message(grace, "1,000").waitFor();
    await say(grace, "Here it goes");
    const stop = record(grace);
    await press(ada, "Send 1,000");
    await atLeast(grace, 150);
    await press(grace, "Kill broker");
    for (const page of [ada, grace]) await page.locator("#trouble", { hasText: "cut off from the others" }).waitFor();
    const upto = await run(grace).locator("progress").evaluate((bar) => bar.value);
    await atLeast(ada, Math.min(upto + 400, 1000)); // they are taken, and wait
    await ada.screenshot({ path: `${artifacts}/demo-outage.png` });
    await press(grace, "Start broker");
    for (const page of [ada, grace]) await all(page);
    for (const page of [ada, grace]) {
      await page.locator("#trouble").waitFor({ state: "hidden" });
      await page.locator('#health[data-state="good"]', { hasText: /3 nodes, broker [\d.]+ m?s/ }).waitFor();
      for (const [kind, text] of [["kill", "broker was killed"], ["degraded", "cut off"], ["start", "broker was started"], ["recovered", "again"]]) {
        await logged(page, kind, text);
      }
    }
    assert.match(await grace.locator("#latency").textContent(), /p50 [\d.]+ m?s, p99 [\d.]+ m?s/);
    assert.match(await message(grace, "1,000").locator(".took").textContent(), /^[\d.]+ m?s$/);
    await grace.screenshot({ path: `${artifacts}/chat.png` });

    await card(grace, 2).getByRole("button", { name: "Kill" }).click();
    await card(grace, 2).locator(".word", { hasText: /^died [1-9]/ }).waitFor();
    await card(grace, 2).getByRole("button", { name: "Start again" }).click();
    await card(grace, 2).locator(".word", { hasText: "connected" }).waitFor();
    const shots = await stop();
    const recording = animate(shots);
    await writeFile(`${artifacts}/demo.png`, recording);
    t.diagnostic(`${shots.length} pictures, ${recording.length} bytes`);
    assert.ok(recording.length <= LARGEST, `the recording has ${recording.length} bytes`);
  });

  it("shows in red what is doubled, out of order, or missing", async () => {
    const grace = await open(1, "Grace");
    const sloppy = await User.enter(chat.urls[0], "Sloppy");
    for (const n of [0, 2, 1, 1, 4]) await sloppy.ask("number", { room: "lobby", run: 1, n, of: 5, at: Date.now() });
    await grace.locator('#runs li[data-result="bad"]', { hasText: "Sloppy" }).waitFor();
    const figures = ["received", "order", "doubled", "lost"].map((name) => figure(grace, name));
    assert.deepEqual(await Promise.all(figures), ["4 / 5", "no: 1", "1", "1"]);
    sloppy.socket.disconnect();
  });

  it("moves to a neighbour when its server is killed, and counts what it has missed", async () => {
    const ada = await open(0, "Ada");
    const grace = await open(1, "Grace", "dark");
    // So that the page is away for as long as the test wants: its next connections go where nobody listens.
    await grace.evaluate(() => {
      const Real = WebSocket;
      globalThis.reachable = false;
      globalThis.WebSocket = function (url) {
        return new Real(globalThis.reachable ? url : "ws://127.0.0.1:9/");
      };
    });
    await say(ada, "before");
    await message(grace, "before").waitFor();
    await card(ada, 1).getByRole("button", { name: "Kill" }).click();
    await grace.locator("#trouble", { hasText: "looking for another one" }).waitFor();
    for (const n of [1, 2, 3]) await say(ada, `meanwhile ${n}`);
    await grace.locator("#trouble", { hasText: "Nobody answers" }).waitFor();
    await grace.locator("#attempts", { hasText: /Attempt \d+/ }).waitFor();
    await grace.evaluate(() => (globalThis.reachable = true));
    await press(grace, "Try now");
    await grace.locator("#node", { hasNotText: node(1) }).waitFor();
    await grace.locator(".notice", { hasText: `${node(1)} does not answer. This page has moved to ${await grace.locator("#node").textContent()}` }).waitFor();
    await grace.locator(".notice.lost", { hasText: "3 messages did not get here while this page was disconnected" }).waitFor();
    for (const page of [ada, grace]) {
      await card(page, 1).locator(".word", { hasText: /^died \d+ s ago/ }).waitFor();
      await logged(page, "down", `${node(1)} has died`);
    }
    await grace.screenshot({ path: `${artifacts}/demo-moved.png` });
    await say(grace, "here I am");
    await message(ada, "here I am").waitFor();
    assert.equal(await grace.locator(".message", { hasText: "before" }).count(), 1);

    await card(grace, 1).getByRole("button", { name: "Start again" }).click();
    for (const page of [ada, grace]) {
      await card(page, 1).locator(".word", { hasText: "connected" }).waitFor();
      await page.locator("#summary", { hasText: "2 people on 3 nodes" }).waitFor();
    }
    const linus = await open(1, "Linus");
    await say(linus, "and I am on the new one");
    await message(grace, "on the new one").waitFor();
  });

  it("gets what was sent while its server's link was frozen", async () => {
    const ada = await open(0, "Ada");
    const linus = await open(2, "Linus");
    await press(ada, "Send 1,000");
    await atLeast(linus, 100);
    await card(ada, 2).getByRole("button", { name: "Freeze link" }).click();
    await linus.locator('#health[data-state="bad"]', { hasText: "cut off" }).waitFor();
    await say(linus, "written behind the frozen link");
    await card(ada, 2).getByRole("button", { name: "Mend link" }).click();
    await linus.locator('#health[data-state="good"]').waitFor();
    await all(linus);
    await card(linus, 2).locator('[data-of="repaired"] dd', { hasText: /^[1-9]/ }).waitFor();
    await message(ada, "behind the frozen link").waitFor();
    await say(ada, "welcome back");
    await message(linus, "welcome back").waitFor();
  });

  it("does not kill the last server", async () => {
    const ada = await open(0, "Ada");
    for (const index of [1, 2]) {
      await card(ada, index).getByRole("button", { name: "Kill" }).click();
      await card(ada, index).getByRole("button", { name: "Start again" }).waitFor();
    }
    await card(ada, 0).getByRole("button", { name: "Kill" }).click();
    await ada.locator("#trouble", { hasText: "last server" }).waitFor();
    for (const index of [1, 2]) {
      await card(ada, index).getByRole("button", { name: "Start again" }).click();
      await card(ada, index).locator(".word", { hasText: "connected" }).waitFor();
    }
  });

  for (const colorScheme of ["light", "dark"]) {
    it(`fits a phone, ${colorScheme}`, async () => {
      const ada = await open(0, "Ada", colorScheme);
      await ada.setViewportSize({ width: 360, height: 740 });
      await press(ada, "Send 1,000");
      await all(ada);
      assert.equal(await ada.evaluate("document.documentElement.scrollWidth"), 360);
      const narrow = await ada.locator("button:visible").evaluateAll((all) => all.filter((it) => it.getBoundingClientRect().right > 360).length);
      assert.equal(narrow, 0);
      await ada.screenshot({ path: `${artifacts}/phone-${colorScheme}.png`, fullPage: true });
    });
  }
});

describe("the chat page, to a screen reader", () => {
  let chat, browser;
  before(async () => {
    [chat, browser] = await Promise.all([startChat(), startBrowser()]);
  });
  after(async () => {
    await browser?.close();
    chat?.child.kill("SIGTERM");
    await chat?.exited;
  });

  it("speaks of changes of state, and not each second", async () => {
    const ada = await openPage(browser, `${chat.urls[0]}/#name=Ada`, { complaints: [] });
    await ada.locator('#health[data-state="good"]', { hasText: "3 nodes" }).waitFor();
    await ada.locator(".notice", { hasText: "Ada joined" }).waitFor();
    await ada.locator("#announcer p").last().waitFor({ state: "detached" });
    await ada.evaluate(() => {
      globalThis.spoken = [];
      globalThis.ticks = 0;
      const live = document.querySelectorAll("[aria-live], [role=status], [role=log], [role=alert]");
      const all = { childList: true, characterData: true, subtree: true };
      const observer = new MutationObserver((changes) => spoken.push(...changes.map(({ target }) => target.id || target.textContent)));
      for (const element of live) observer.observe(element, all);
      new MutationObserver(() => (ticks += 1)).observe(document.querySelector(".place"), all);
    });
    await ada.waitForFunction(() => globalThis.ticks >= 3);
    assert.deepEqual(await ada.evaluate(() => globalThis.spoken), []);
    const name = `node-${new URL(chat.urls[2]).port}`;
    const card = ada.locator(`[data-node="${name}"]`);
    await card.getByRole("button", { name: "Kill" }).click();
    await ada.locator("#announcer", { hasText: `${name} is gone` }).waitFor({ state: "attached" });
    await card.getByRole("button", { name: "Start again" }).click();
    await ada.locator("#announcer", { hasText: `${name} is here` }).waitFor({ state: "attached" });
  });
});

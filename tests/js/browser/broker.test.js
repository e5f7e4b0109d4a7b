// Two windows on two chat processes over a broker, which is killed and started again while they chat.
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { after, before, describe, it } from "node:test";
import { startBroker } from "../broker.js";
import { openPage, startBrowser } from "../browser.js";
import { startNode } from "../chat.js";
import { artifacts } from "../nodes.js";

// Two at once: most of the time they wait.
describe("the chat page and its broker", { concurrency: 2 }, () => {
  for (const kind of ["redis", "nats", "rabbitmq", "postgres"])
    describe(`${kind}`, { concurrency: 1 }, () => about(kind));
});

function about(kind) {
  let broker, browser;
  let nodes = [];
  const complaints = [];

  before(async () => {
    await mkdir(artifacts, { recursive: true });
    broker = await startBroker(kind);
    nodes = await Promise.all(["left", "right"].map((name) => startNode(broker.url, name)));
    browser = await startBrowser();
  });
  after(async () => {
    await browser?.close();
    const endings = await Promise.allSettled(nodes.map((node) => node.stop()));
    await broker?.stop();
    for (const { reason } of endings) assert.ifError(reason);
  });

  const say = async (page, text) => {
    await page.fill("#text", text);
    await page.press("#text", "Enter");
    await page.locator(".message.mine", { hasText: text }).waitFor();
  };
  const message = (page, text) => page.locator(".message", { hasText: text });

  it("tells that the node is cut off, chats on, and recovers", async (t) => {
    const ada = await openPage(browser, `${nodes[0].url}/#name=Ada`, { complaints });
    const grace = await openPage(browser, `${nodes[1].url}/#name=Grace`, { complaints, colorScheme: "dark" });
    const pages = [ada, grace];
    await say(ada, "Can you hear me?");
    await message(grace, "Can you hear me?").waitFor();
    await say(grace, "Loud and clear");
    await message(ada, "Loud and clear").waitFor();
    for (const page of pages) {
      await page.locator('#health[data-state="good"]', { hasText: "2 nodes" }).waitFor();
      // Somebody's broker is not killed by a button.
      assert.ok(await page.locator("#broker").isHidden());
      assert.equal(await page.getByRole("button", { name: /kill|freeze/i }).count(), 0);
    }

    await broker.kill();
    for (const page of pages) {
      await page.locator('#health[data-state="bad"]', { hasText: "cut off" }).waitFor();
      await page.locator("#trouble", { hasText: "cut off from the others" }).waitFor();
    }
    await say(ada, "Hello? Anybody?");
    await say(grace, "It is so quiet");
    assert.equal(await message(grace, "Anybody").count(), 0);
    await silence(ada);
    await ada.screenshot({ path: `${artifacts}/${kind}-outage-left.png` });
    await grace.screenshot({ path: `${artifacts}/${kind}-outage-right.png` });

    await broker.start();
    const back = performance.now();
    for (const page of pages) await page.locator('#health[data-state="good"]').waitFor();
    t.diagnostic(`both pages show it ${Math.round(performance.now() - back)} ms after the broker was back`);
    for (const page of pages) {
      await page.locator("#trouble[hidden]").waitFor({ state: "attached" });
      await page.locator("#summary", { hasText: "2 people on 2 nodes" }).waitFor();
    }
    // Said meanwhile: it arrives, or the page says that something did not.
    await message(grace, "Anybody").or(grace.locator(".lost")).first().waitFor();
    await message(ada, "so quiet").or(ada.locator(".lost")).first().waitFor();
    await say(ada, "There you are");
    await message(grace, "There you are").waitFor();
    await say(grace, "As if nothing had been");
    await message(ada, "As if nothing").waitFor();
    await ada.screenshot({ path: `${artifacts}/${kind}-recovered-left.png` });
    await grace.screenshot({ path: `${artifacts}/${kind}-recovered-right.png` });
    for (const page of pages) await page.close();
    assert.deepEqual(complaints, []);
  });

  /** Until the page has counted a second of silence. */
  const silence = (page) => page.locator("#health", { hasText: / [1-9][\d.]* s ago/ }).waitFor();
}

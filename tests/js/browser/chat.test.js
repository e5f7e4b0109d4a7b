// The chat page in Chromium.
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { after, before, describe, it } from "node:test";
import { openPage, startBrowser } from "../browser.js";
import { startChat } from "../chat.js";
import { artifacts } from "../nodes.js";

describe("the chat page", () => {
  let chat, browser;
  const complaints = [];

  before(async () => {
    chat = await startChat();
    browser = await startBrowser();
    await mkdir(artifacts, { recursive: true });
  });
  after(async () => {
    await browser?.close();
    chat?.child.kill("SIGTERM");
    await chat?.exited;
  });

  const open = (url, colorScheme) => openPage(browser, url, { complaints, colorScheme });
  const port = (index) => new URL(chat.urls[index]).port;
  const node = (index) => `node-${port(index)}`;
  const say = async (page, text) => {
    await page.fill("#text", text);
    await page.press("#text", "Enter");
  };
  const message = (page, text) => page.locator(".message", { hasText: text });
  const parts = async (line) => {
    await line.waitFor();
    const text = (selector) => line.locator(selector).textContent();
    return { name: await text("b"), node: await text(".badge"), text: await text("p") };
  };
  const present = (page, index, user) => page.locator(`[data-node="${node(index)}"] li`, { hasText: user });

  it("lets two windows on two nodes talk, and shows who is where", async () => {
    const one = await open(`${chat.urls[0]}/#name=Ada`);
    const two = await open(`${chat.urls[1]}/#name=Grace`, "dark");

    await say(one, "Hello from the first node");
    const first = { name: "Ada", node: node(0), text: "Hello from the first node" };
    assert.deepEqual(await parts(message(two, "Hello from")), first);
    assert.deepEqual(await parts(message(one, "Hello from")), first);
    await say(two, "And hello from the <b>second</b> one");
    const second = { name: "Grace", node: node(1), text: "And hello from the <b>second</b> one" };
    assert.deepEqual(await parts(message(one, "And hello")), second);
    assert.equal(await one.locator(".message.mine").count(), 1);
    assert.equal(await two.locator(".message.mine").count(), 1);

    await one.fill("#room", "compilers");
    await one.press("#room", "Enter");
    await one.locator(".tab.active", { hasText: "compilers" }).waitFor();
    await one.locator(".tab button", { hasText: "lobby" }).click();
    for (const page of [one, two]) {
      await present(page, 0, "Ada").getByText("# compilers").waitFor();
      await present(page, 1, "Grace").getByText("# lobby").waitFor();
      await page.locator(`[data-node="${node(2)}"] .nobody`).waitFor();
      assert.equal(await page.locator("#summary").textContent(), "2 people on 3 nodes");
      await page.locator('#health[data-state="good"]').waitFor();
      assert.match(await page.locator("#health").textContent(), /^3 nodes, broker [\d.]+ m?s$/);
    }
    assert.equal(await one.locator("#node").textContent(), node(0));
    assert.equal(await two.locator("#node").textContent(), node(1));

    await say(one, "Both of us see this");
    await message(two, "Both of us").waitFor();
    await one.screenshot({ path: `${artifacts}/chat-node1.png` });
    await two.screenshot({ path: `${artifacts}/chat-node2.png` });

    await two.close();
    await present(one, 1, "Grace").waitFor({ state: "detached" });
    await one.close();
  });

  it("keeps rooms apart, and counts what came in the one that is not open", async () => {
    const one = await open(`${chat.urls[0]}/#name=Ada&room=tea&room=cake`);
    const two = await open(`${chat.urls[2]}/#name=Linus&room=cake`);
    await say(two, "for cake alone");
    await one.locator(".tab", { hasText: "cake" }).locator(".unread", { hasText: "1" }).waitFor();
    assert.equal(await message(one, "for cake").count(), 0);
    await one.locator(".tab button", { hasText: "cake" }).click();
    await message(one, "for cake").waitFor();
    await one.getByLabel("Leave cake").click();
    await one.locator(".tab", { hasText: "cake" }).waitFor({ state: "detached" });
    await present(two, 0, "Ada").getByText("# tea", { exact: true }).waitFor();
    for (const page of [one, two]) await page.close();
  });

  it("takes the name and the rooms along to another node", async () => {
    const page = await open(`${chat.urls[0]}/#name=Ada&room=tea`);
    await page.fill("#name", "Ada & Co");
    await page.press("#name", "Enter");
    await present(page, 0, "Ada & Co").waitFor();
    const opened = page.waitForEvent("popup");
    await page.locator(`[data-node="${node(1)}"] a`).click();
    const other = await opened;
    await present(other, 1, "Ada & Co").getByText("# tea").waitFor();
    assert.equal(new URL(other.url()).port, port(1));
    assert.equal(await other.inputValue("#name"), "Ada & Co");
    for (const it of [page, other]) await it.close();
  });

  it("fits a phone", async () => {
    const page = await open(`${chat.urls[0]}/#name=Ada`);
    await page.setViewportSize({ width: 360, height: 740 });
    await say(page, `${"long".repeat(80)}`);
    await message(page, "longlong").waitFor();
    assert.equal(await page.evaluate("document.documentElement.scrollWidth"), 360);
    await page.close();
  });

  it("comes back to its rooms when its server does", async () => {
    const before = await startChat("--nodes", "1");
    const page = await open(`${before.urls[0]}/#name=Ada&room=tea`);
    before.child.kill("SIGTERM");
    await page.locator("#trouble:not([hidden])").waitFor();
    await before.exited;
    const again = await startChat("--nodes", "1", "--port", new URL(before.urls[0]).port);
    await page.locator("#trouble[hidden]").waitFor({ state: "attached" });
    await say(page, "here again");
    await message(page, "here again").waitFor();
    await page.close();
    again.child.kill("SIGTERM");
    await again.exited;
  });

  it("complains of nothing", () => {
    // What Chromium itself says of a server that was away is no fault of the page.
    assert.deepEqual(complaints.filter((line) => !/ERR_CONNECTION|WebSocket connection/.test(line)), []);
  });
});

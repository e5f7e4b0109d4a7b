// The chat page in headless Chromium: CHROMIUM, or /usr/bin/chromium.
import { chromium } from "playwright-core";

const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

export function startBrowser() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });
}

/** A window on the chat, in its first room. What goes wrong in it is added to `complaints`. */
export async function openPage(browser, url, { complaints, colorScheme = "light" }) {
  const page = await browser.newPage({ viewport: { width: 1100, height: 720 }, colorScheme });
  page.setDefaultTimeout(20_000);
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (line) => line.type() === "error" && complaints.push(line.text()));
  await page.goto(url);
  await page.locator(".tab.active").waitFor();
  return page;
}

import { run } from "./nodes.js";

/** Starts the chat, on free ports unless `args` say otherwise; `urls` are what it printed. */
export async function startChat(...args) {
  const chat = run("chat", ["--port", "0", ...args]);
  const urls = [];
  for await (const line of chat.lines) {
    urls.push(...(line.match(/http:\S+/) ?? []));
    if (line.startsWith("Try this")) break;
  }
  return { ...chat, urls };
}

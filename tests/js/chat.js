import { Client, endWell, run } from "./nodes.js";

/** Starts the chat, on free ports unless `args` say otherwise; `urls` are what it printed. */
export async function startChat(...args) {
  const chat = run("chat", ["--port", "0", ...args]);
  const urls = [];
  for await (const line of chat.lines) {
    urls.push(...(line.match(/http:\S+/) ?? []));
    if (line.startsWith("Try this")) break;
  }
  if (urls.length === 0) throw new Error(`the chat did not start: ${chat.errors()}`);
  return { ...chat, urls };
}

/** Starts a chat process of one node, on a free port or on `at`; `stop` ends it and throws if it did not end well. */
export async function startNode(adapter, name = "node", at = 0) {
  const chat = await startChat("--nodes", "1", "--adapter", adapter, "--name", name, "--port", String(at));
  const [url] = chat.urls;
  const port = Number(new URL(url).port);
  return {
    ...chat,
    url,
    port,
    name: `${name}-${port}`,
    stop: () => endWell(chat, `${name}-${port}`),
  };
}

/** A client of the chat that is connected and in the lobby. */
export class User extends Client {
  static async enter(url, name, options) {
    const user = new User(url, { auth: { name }, ...options });
    await user.until("the connection", () => user.socket.connected);
    await user.ask("join", { room: "lobby" });
    return user;
  }

  /** What the server answered; throws when it refused. */
  async ask(event, data) {
    const { ok, error } = await this.socket.timeout(20_000).emitWithAck(event, data);
    if (error) throw new Error(`${event}: ${error}`);
    return ok;
  }

  say(text) {
    return this.ask("message", { room: "lobby", text });
  }

  /** Waits for a message, and gives it. */
  heard(text) {
    return this.until(`the message ${text}`, () => this.got("message").find((it) => it.text === text));
  }

  /** The texts that came so far, in order. */
  texts() {
    return this.got("message").map(({ text }) => text);
  }

  /** The names of all nodes and their users' names, as this user's node has them from all others. */
  async who() {
    const { nodes, missing } = await this.ask("who", null);
    return { missing, nodes: Object.fromEntries(nodes.map(({ node, users }) => [node, users.map(({ name }) => name)])) };
  }

  /** Waits until the node's latest word on itself is so. */
  state(what, question) {
    return this.until(`the state: ${what}`, () => {
      const latest = this.got("state").at(-1);
      return latest && question(latest) && latest;
    });
  }
}

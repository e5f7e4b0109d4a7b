// Starts the nodes that the tests drive, and clients of them.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { io } from "socket.io-client";
import * as msgpack from "socket.io-msgpack-parser";

const PATIENCE = 20_000; // milliseconds until something that must happen is missed
const root = fileURLToPath(new URL("../../", import.meta.url));
export const artifacts = `${root}target/artifacts`;

/** Resolves with what `question` gives once that is true; for what can only be seen by asking again. */
export async function eventually(what, question) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const answer = await question();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`this did not happen within ${PATIENCE} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Runs a program that ends when this process does, however that ends; where the system can do that. */
export function mortal(command, args, options = {}) {
  const words = process.platform === "linux" ? ["setpriv", "--pdeathsig", "TERM", command, ...args] : [command, ...args];
  const child = spawn(words[0], words.slice(1), { stdio: ["pipe", "pipe", "pipe"], ...options });
  return { child, exited: once(child, "exit") };
}

/** Runs an example of the workspace. `lines` are those of its standard output, `errors()` what it complained about. */
export function run(example, args = [], options = {}) {
  const binary = `${process.env.CARGO_TARGET_DIR ?? `${root}target`}/debug/examples/${example}`;
  const { child, exited } = mortal(binary, args, options);
  const lines = createInterface({ input: child.stdout });
  let errors = "";
  child.stderr.on("data", (text) => (errors += text));
  return { child, lines, errors: () => errors, exited };
}

/** Ends a program that was run; throws if it did not end well. */
export async function endWell({ child, errors, exited }, name) {
  child.kill("SIGTERM");
  const [code, signal] = await exited;
  if (code !== 0 || /panicked/.test(errors())) throw new Error(`${name} ended with ${code ?? signal}: ${errors()}`);
}

/** One server of an example that says where it listens. `stop` ends it well, `kill` as a crash does. */
export async function startServer(example, ...args) {
  const program = run(example, ["--port", "0", ...args]);
  const first = await Promise.race([once(program.lines, "line"), program.exited]);
  const url = String(first[0]).match(/^listening on (http:\S+)/)?.[1];
  if (!url) throw new Error(`${example} did not start: ${program.errors()}`);
  return {
    url,
    stop: () => endWell(program, `${example} at ${url}`),
    async kill() {
      program.child.kill("SIGKILL");
      await program.exited;
    },
  };
}

/** Three nodes in one cluster, unless `args` say otherwise. */
export async function startNodes(...args) {
  const { child, lines, errors, exited } = run("socketio_nodes", args);
  const first = await Promise.race([once(lines, "line"), exited]);
  if (typeof first[0] !== "string") throw new Error(`the nodes did not start: ${errors()}`);
  const clients = new Set();
  return {
    ...JSON.parse(first[0]),
    errors,
    /** A client of a node that is ready. `options`: `ns`, `rooms`, `parser` ("msgpack"), `transports`. */
    async client(index, options) {
      const client = new Client(this.urls[index], options);
      clients.add(client);
      await client.next("ready");
      return client;
    },
    /** So many clients of each of three nodes. */
    async crowd(each, options) {
      const places = [0, 1, 2].flatMap((index) => Array(each).fill(index));
      return Promise.all(places.map((index) => this.client(index, options)));
    },
    /** Closes the clients of a test; to be called after each. */
    async release() {
      for (const client of clients) client.socket.disconnect();
      clients.clear();
    },
    async stop() {
      await this.release();
      child.stdin.end();
      const [code] = await exited;
      if (code !== 0 || /panicked/.test(errors())) throw new Error(`the nodes ended with ${code}: ${errors()}`);
    },
  };
}

/** A client that remembers what it received. */
export class Client {
  #received = [];
  #waiting = new Set();

  constructor(url, { ns = "/", rooms = [], parser, transports = ["websocket"], auth = { rooms }, agent, headers } = {}) {
    const options = { auth, agent, transports, extraHeaders: headers, forceNew: true, reconnection: false };
    if (parser === "msgpack") options.parser = msgpack.default ?? msgpack;
    this.socket = io(url + (ns === "/" ? "" : ns), options);
    this.socket.onAny((event, ...data) => {
      this.#received.push({ event, data });
      this.#changed();
    });
    for (const event of ["connect", "disconnect"]) this.socket.on(event, () => this.#changed());
  }

  get id() {
    return this.socket.id;
  }

  /** The data of each event of this name so far. */
  got(event) {
    return this.#received.filter((it) => it.event === event).map(({ data }) => (data.length > 1 ? data : data[0]));
  }

  /** The names of the events so far, in order. */
  events() {
    return this.#received.map(({ event }) => event);
  }

  /** Waits until the question about this client is answered with something true. */
  until(what, question) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(check);
        reject(new Error(`this did not happen within ${PATIENCE} ms: ${what}`));
      }, PATIENCE);
      const check = () => {
        const answer = question();
        if (!answer) return;
        clearTimeout(timer);
        this.#waiting.delete(check);
        resolve(answer);
      };
      this.#waiting.add(check);
      check();
    });
  }

  /** Waits for the first event of this name. */
  async next(event) {
    await this.until(`the event ${event}`, () => this.got(event).length > 0);
    return this.got(event)[0];
  }

  gone() {
    return this.until("the disconnect", () => this.socket.disconnected);
  }

  /** Has the node do these things in order; resolves with what came of each, throws if one failed. */
  async do(...ops) {
    const outcomes = await this.try(...ops);
    for (const outcome of [outcomes].flat()) if (outcome?.error) throw new Error(outcome.error);
    return outcomes.length === 1 ? outcomes[0] : outcomes;
  }

  /** The answer to an event of a server that acknowledges with `{Ok}` or `{Err}`; throws the latter. */
  async request(event, data = null) {
    const { Ok, Err } = await this.socket.timeout(PATIENCE).emitWithAck(event, data);
    if (Err !== undefined) throw Object.assign(new Error(`${event}: ${JSON.stringify(Err)}`), { answer: Err });
    return Ok;
  }

  try(...ops) {
    // Without the fields that are undefined: msgpack, unlike JSON, would send them.
    return this.socket.timeout(PATIENCE).emitWithAck("do", JSON.parse(JSON.stringify(ops)));
  }

  #changed() {
    for (const check of [...this.#waiting]) check();
  }
}

let fences = 0;

/** Returns once each client has got all that this client's node sent before: what came before it came, or never will. */
export async function fence(from, clients) {
  const event = `fence ${fences++}`;
  await from.do(emit(event, null, clients[0].socket.nsp && { ns: clients[0].socket.nsp }));
  await Promise.all(clients.map((client) => client.next(event)));
}

export const emit = (event, data, target) => ({ do: { emit: { event, data } }, target });
export const emitWithAck = (event, data, target) => ({ do: { emitWithAck: { event, data } }, target });
export const count = (event, upto, target) => ({ do: { count: { event, upto } }, target });
export const join = (rooms, target) => ({ do: { join: { rooms } }, target });
export const leave = (rooms, target) => ({ do: { leave: { rooms } }, target });
export const disconnect = (target) => ({ do: "disconnect", target });
export const fetchSockets = (target) => ({ do: "fetchSockets", target });
export const rooms = (target) => ({ do: "rooms", target });
export const nodes = () => ({ do: "nodes" });
export const closeNode = (index) => ({ do: { closeNode: { index } } });
export const clusterEmit = (event, data, target) => ({ do: { clusterEmit: { event, data } }, target });
export const serverSideEmit = (event, data) => ({ do: { serverSideEmit: { event, data } } });
export const serverSideEmitWithAck = (event, data) => ({ do: { serverSideEmitWithAck: { event, data } } });
/** Does it to the one socket, as the server's `RemoteSocket`. */
export const remotely = (client, op) => ({ ...op, remote: client.id });

/** A room that no other test uses. */
let names = 0;
export const fresh = (name) => `${name} ${names++}`;

export const ids = (clients) => clients.map(({ id }) => id).sort();

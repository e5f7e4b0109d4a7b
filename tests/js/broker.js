// Brokers as the tests need them: private, on a port of 127.0.0.1 that stays theirs, killed and started again at will.
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually, mortal } from "./nodes.js";

/** How each broker is run, and what it says (to what) once it serves. */
const BROKERS = {
  redis: {
    command: "redis-server",
    args: (port, folder) => ["--bind", "127.0.0.1", "--port", port, "--dir", folder, "--save", "", "--appendonly", "no"],
    hello: "PING\r\n",
    ready: /^\+PONG/,
  },
  nats: {
    command: "nats-server",
    args: (port) => ["--addr", "127.0.0.1", "--port", port],
    hello: "",
    ready: /^INFO/,
  },
};

/** A port where nobody listens, below those that the system gives to whoever connects. */
export async function freePort() {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    const server = createServer().listen(port, "127.0.0.1");
    const free = await once(server, "listening").then(() => true, () => false);
    server.close();
    if (free) return port;
  }
}

/** Starts a broker, "redis" or "nats", and resolves once it serves. */
export async function startBroker(kind) {
  const { command, args, hello, ready } = BROKERS[kind];
  const port = await freePort();
  const folder = await mkdtemp(join(tmpdir(), `roomcast-${kind}-`));
  let process;

  const broker = {
    url: `${kind}://127.0.0.1:${port}`,
    /** Starts it, after `kill` on the same port. */
    async start() {
      process = mortal(command, args(String(port), folder));
      let output = "";
      for (const stream of [process.child.stdout, process.child.stderr]) stream.on("data", (text) => (output += text));
      await eventually(`${command} serves`, () => {
        if (process.child.exitCode !== null) throw new Error(`${command} has ended: ${output}`);
        return answers(port, hello, ready);
      });
    },
    /** As a crash: nothing is said to anybody. */
    async kill() {
      process.child.kill("SIGKILL");
      await process.exited;
    },
    /** Ends it for good. */
    async stop() {
      await broker.kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
  await broker.start();
  return broker;
}

/** Whether whoever listens there answers so. */
export function answers(port, hello, ready) {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(hello));
    const end = (answer) => {
      resolve(answer);
      socket.destroy();
    };
    socket.on("data", (text) => end(ready.test(text)));
    socket.on("error", () => end(false));
    socket.on("close", () => end(false));
  });
}

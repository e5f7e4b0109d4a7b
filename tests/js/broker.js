// Brokers as the tests need them: private, on a port of 127.0.0.1 that stays theirs, killed and started again at will. The
// conformance suite's command starts them, so what each needs is written down once.
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { mortal } from "./nodes.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const command = `${process.env.CARGO_TARGET_DIR ?? `${root}target`}/debug/conformance`;

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

/** Starts a broker by its name in the suite, and resolves once it serves. */
export async function startBroker(kind) {
  const { child, exited } = mortal(command, ["broker", kind]);
  let errors = "";
  child.stderr.on("data", (text) => (errors += text));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${kind} has ended: ${errors}`);
    return value;
  };
  const tell = async (what) => {
    child.stdin.write(`${what}\n`);
    const answer = await next();
    if (answer !== "done") throw new Error(`${kind}, ${what}: ${answer}`);
  };
  return {
    url: await next(),
    /** Starts it after `kill`, on the same port. */
    start: () => tell("start"),
    /** As a crash: nothing is said to anybody. */
    kill: () => tell("kill"),
    /** Ends it for good. */
    async stop() {
      child.stdin.end();
      await exited;
    },
  };
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

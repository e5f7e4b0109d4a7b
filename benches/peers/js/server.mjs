// One Socket.IO server: `node server.mjs ADAPTER URL PREFIX`. Prints its port, then carries out one JSON object a line, and answers
// each with a line of the same `id`: `ok`, and `value` if there is one.
import { createServer } from "node:http";
import readline from "node:readline";
import { Server } from "socket.io";

const [kind, url, prefix] = process.argv.slice(2);

async function redis() {
  const { createClient } = await import("redis");
  const client = createClient({ url });
  client.on("error", () => {}); // it connects again by itself
  await client.connect();
  return client;
}

async function adapter() {
  switch (kind) {
    case "redis": {
      const { createAdapter } = await import("@socket.io/redis-adapter");
      return createAdapter(await redis(), await redis(), { key: prefix, requestsTimeout: 5000 });
    }
    case "redis-streams": {
      const { createAdapter } = await import("@socket.io/redis-streams-adapter");
      return createAdapter(await redis(), { streamName: prefix });
    }
    case "postgres": {
      const { default: pg } = await import("pg");
      const { createAdapter } = await import("@socket.io/postgres-adapter");
      const pool = new pg.Pool({ connectionString: url });
      pool.on("error", () => {}); // it connects again by itself
      const table = "CREATE TABLE IF NOT EXISTS socket_io_attachments (id bigserial UNIQUE, created_at timestamptz DEFAULT NOW(), payload bytea)";
      await pool.query(table).catch(() => {}); // by several at a time one fails, and it is there
      return createAdapter(pool, { channelPrefix: prefix, errorHandler: () => {} });
    }
    default:
      throw new Error(`no adapter is called ${kind}`);
  }
}

// An adapter's error that nobody handles would end the server.
process.on("unhandledRejection", () => {});
process.on("uncaughtException", () => {});

const http = createServer();
const io = new Server(http, { adapter: await adapter(), transports: ["websocket"], serveClient: false });
for (const namespace of ["/", "/all", "/rooms"]) {
  io.of(namespace).on("connection", (socket) => socket.join(socket.handshake.auth.rooms ?? []));
}

const to = ({ namespace, room }) => (room ? io.of(namespace).in(room) : io.of(namespace));
const operations = {
  emit: (order) => void to(order).emit("m", order.data),
  join: (order) => void to(order).socketsJoin(order.other),
  leave: (order) => void to(order).socketsLeave(order.other),
  fetch: async (order) => (await to(order).fetchSockets()).length,
};

http.listen(0, "127.0.0.1", () => console.log(http.address().port));
readline
  .createInterface({ input: process.stdin })
  .on("line", async (line) => {
    const order = JSON.parse(line);
    try {
      console.log(JSON.stringify({ id: order.id, ok: true, value: await operations[order.operation](order) }));
    } catch {
      console.log(JSON.stringify({ id: order.id, ok: false }));
    }
  })
  .on("close", () => process.exit(0)); // whoever gave the orders is gone

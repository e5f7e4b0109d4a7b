// What SQL emits, as psql sends it and Socket.IO clients of several chat processes get it.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { startBroker } from "../broker.js";
import { startNode, User } from "../chat.js";

const migration = fileURLToPath(new URL("../../../adapter-postgres/migration.sql", import.meta.url));

describe("SQL", () => {
  let broker;
  let nodes = [];
  let users = [];
  const psql = (...args) => {
    const options = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--username=postgres", "--dbname=postgres"];
    const { hostname, port } = new URL(broker.url);
    return promisify(execFile)("psql", [`--host=${hostname}`, `--port=${port}`, ...options, ...args]);
  };
  // As the chat calls it for Socket.IO, where each socket's id is a room as well.
  const lobby = "ARRAY['#lobby']";
  const message = (text) => `'message', '{"name": "the database", "text": "${text}"}'`;

  before(async () => {
    broker = await startBroker("postgres");
    await psql(`--file=${migration}`);
    await psql(`--file=${migration}`); // twice does no harm
    nodes = await Promise.all(["a", "b"].map((name) => startNode(broker.url, name)));
    users = [await User.enter(nodes[0].url, "Ada"), await User.enter(nodes[1].url, "Grace")];
  });
  after(async () => {
    for (const user of users) user.socket.disconnect();
    const endings = await Promise.allSettled(nodes.map((node) => node.stop()));
    await broker?.stop();
    for (const { reason } of endings) assert.ifError(reason);
  });

  it("reaches the clients of every node when its transaction commits, and not when it is rolled back", async () => {
    await psql(
      "--command=BEGIN",
      `--command=SELECT roomcast_emit('/', ${lobby}, ${message("never")})`,
      "--command=ROLLBACK",
      "--command=BEGIN",
      `--command=SELECT roomcast_emit('/', ${lobby}, ${message("one")})`,
      `--command=SELECT roomcast_emit('/', ARRAY['elsewhere'], ${message("for others")})`,
      "--command=SAVEPOINT here",
      `--command=SELECT roomcast_emit('/', NULL, ${message("taken back")})`,
      "--command=ROLLBACK TO here",
      `--command=SELECT roomcast_emit('/', NULL, ${message("two")})`,
      "--command=COMMIT",
    );
    for (const user of users) {
      await user.heard("two");
      assert.deepEqual(user.texts(), ["one", "two"]);
    }
  });

  it("carries what does not fit one notification", async () => {
    await psql(
      `--command=SELECT roomcast_emit('/', ${lobby}, 'large', jsonb_build_object('text', repeat('é', 200000)))`,
    );
    for (const user of users) {
      const { text } = await user.next("large");
      assert.equal(text, "é".repeat(200_000));
    }
  });

  it("is told what is wrong with its arguments", async () => {
    await assert.rejects(psql("--command=SELECT roomcast_emit(NULL, NULL, 'event')"), /namespace must have 1 to 1024 bytes/);
  });
});

// nginx with the configuration that compose.yaml gives it, before processes of this machine.
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { answers, freePort } from "./broker.js";
import { eventually, mortal } from "./nodes.js";

const DEPLOYED = new URL("../../deploy/nginx.conf", import.meta.url);
const NAMES = ["one:3001", "two:3002", "three:3003"];

/** What the Debian package and the container image have around a server's configuration, in a folder of our own. */
const around = (folder) => `
daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log info;
events { worker_connections 256; }
http {
    access_log ${folder}/access.log;
    client_body_temp_path ${folder}/body;
    proxy_temp_path ${folder}/proxy;
    fastcgi_temp_path ${folder}/fastcgi;
    uwsgi_temp_path ${folder}/uwsgi;
    scgi_temp_path ${folder}/scgi;
    include ${folder}/default.conf;
}
`;

/** Starts nginx before the three servers on these ports. Only addresses differ from what is deployed. */
export async function startProxy(ports) {
  const port = await freePort();
  const folder = await mkdtemp(join(tmpdir(), "roomcast-nginx-"));
  await chmod(folder, 0o755); // started as root, its worker is somebody else
  let conf = await readFile(DEPLOYED, "utf8");
  const swap = (from, to) => {
    if (conf.split(from).length !== 2) throw new Error(`deploy/nginx.conf has not exactly one ${from}`);
    conf = conf.replace(from, to);
  };
  NAMES.forEach((name, index) => swap(`server ${name};`, `server 127.0.0.1:${ports[index]};`));
  swap("listen 8080;", `listen 127.0.0.1:${port};`);
  await writeFile(join(folder, "default.conf"), conf);
  await writeFile(join(folder, "nginx.conf"), around(folder));
  const words = ["-p", folder, "-e", join(folder, "error.log"), "-c", join(folder, "nginx.conf")];
  const { child, exited } = mortal("nginx", words, { env: { PATH: `${process.env.PATH}:/usr/sbin` } });
  let output = "";
  child.stderr.on("data", (text) => (output += text));
  await eventually("nginx serves", () => {
    if (child.exitCode !== null) throw new Error(`nginx has ended: ${output}`);
    return answers(port, "GET / HTTP/1.0\r\n\r\n", /^HTTP/);
  });
  return {
    url: `http://127.0.0.1:${port}`,
    /** The requests so far, and what they were answered: `{ method, path, status }`. */
    async requests() {
      const text = await readFile(join(folder, "access.log"), "utf8");
      const lines = [...text.matchAll(/^(\S+) .*?"(\S+) (\S+) [^"]*" (\d+)/gm)];
      return lines.map(([, from, method, path, status]) => ({ from, method, path, status: Number(status) }));
    },
    async stop() {
      child.kill("SIGTERM");
      await exited;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

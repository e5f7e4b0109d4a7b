// "Send 1,000": numbers that every page of the room counts, and how long messages take from page to page.
import { $, badge, duration, make, now } from "/dom.js";

const TOTAL = 1000;
const PACE = 5; // milliseconds from one number to the next
const SHOWN = 3; // runs
const MEASURED = 1000; // messages
const LATE = 15_000; // milliseconds without a number, after which a run is given up

const runs = new Map(); // by sender and run
const latencies = [];
let mine = 0;

// The clocks of two machines differ by more than what is measured.
const oneMachine = /^(localhost|127\.[\d.]+|\[::1\])$/.test(location.hostname);

/** How many milliseconds ago that was, if it can be told. */
export function since(at) {
  const ms = at === undefined ? NaN : now() - at;
  return oneMachine && ms > -1 && ms < 600_000 ? Math.max(ms, 0) : null;
}

/** Takes note of a message of another page. */
export function measure(ms) {
  if (ms === null) return;
  latencies.push(ms);
  if (latencies.length > MEASURED) latencies.shift();
  soon();
}

/** Sends the numbers, each when the one before was taken: a Socket.IO server handles the events of one client side by side. */
export async function sendAll(ask, room) {
  const run = ++mine;
  $("send-all").disabled = true;
  const begun = performance.now();
  for (let n = 0; n < TOTAL; n++) {
    const wait = begun + n * PACE - performance.now();
    if (wait > 4) await new Promise((resolve) => setTimeout(resolve, wait));
    const done = await ask("number", { room, run, n, of: TOTAL, at: now() });
    $("sent").textContent = `sent ${(n + 1).toLocaleString("en")}`;
    if (done === undefined) {
      $("sent").textContent = `stopped at ${n.toLocaleString("en")}: this node is away`;
      break;
    }
  }
  $("send-all").disabled = false;
}

/** Counts a number that has come. `ours`: it was sent by this page. */
export function counted({ id, run, n, of, at, name, node }, ours) {
  const key = `${id} ${run}`;
  if (!runs.has(key)) {
    runs.set(key, { name, node, of, ours, seen: new Set(), newest: -1, doubled: 0, disordered: 0 });
    if (runs.size > SHOWN) runs.delete(runs.keys().next().value);
  }
  const it = runs.get(key);
  if (it.seen.has(n)) it.doubled += 1;
  else if (n < it.newest) it.disordered += 1;
  it.seen.add(n);
  it.newest = Math.max(it.newest, n);
  it.last = performance.now();
  if (!ours) measure(since(at));
  soon();
}

// What comes quickly is drawn together.
let drawing = false;
function soon() {
  if (drawing) return;
  drawing = true;
  setTimeout(() => {
    drawing = false;
    draw();
  }, 100);
}

const percentile = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];

function draw() {
  const sorted = [...latencies].sort((a, b) => a - b);
  $("latency").textContent = sorted.length
    ? `Page to page: p50 ${duration(percentile(sorted, 0.5))}, p99 ${duration(percentile(sorted, 0.99))} of ${sorted.length.toLocaleString("en")}`
    : "";
  for (const [key, run] of runs) {
    let row = $("runs").querySelector(`[data-run="${key}"]`);
    if (!row) $("runs").prepend((row = drawn(key, run)));
    fill(row, run);
  }
  for (const row of [...$("runs").children]) if (!runs.has(row.dataset.run)) row.remove();
}

function drawn(key, run) {
  const figure = (name, text) => make("div", { "data-of": name }, make("dt", {}, text), make("dd", {}));
  return make(
    "li",
    { "data-run": key },
    make("div", { class: "from" }, make("b", {}, run.ours ? "You" : run.name), badge(run.node), make("span", { class: "verdict" })),
    make("progress", { max: String(run.of), "aria-label": "received" }),
    make("dl", {}, figure("received", "received"), figure("order", "in order"), figure("doubled", "duplicates"), figure("lost", "lost")),
  );
}

function fill(row, { seen, of, newest, doubled, disordered, last }) {
  const ended = newest === of - 1;
  const late = !ended && performance.now() - last > LATE;
  const missing = (ended ? of : newest + 1) - seen.size;
  const wrong = doubled + disordered + missing > 0;
  row.dataset.result = wrong ? "bad" : ended ? "good" : "running";
  const put = (selector, text, bad) => {
    const place = row.querySelector(selector);
    place.textContent = text;
    place.classList.toggle("wrong", Boolean(bad));
  };
  row.querySelector("progress").value = seen.size;
  put("[data-of=received] dd", `${seen.size.toLocaleString("en")} / ${of.toLocaleString("en")}`);
  put("[data-of=order] dd", disordered ? `no: ${disordered}` : "yes", disordered);
  put("[data-of=doubled] dd", String(doubled), doubled);
  put("[data-of=lost] dd", String(missing), missing);
  put(".verdict", wrong ? "not all is well" : ended ? "all of them, once, in order" : late ? "no more came" : "receiving…");
}

setInterval(() => runs.size && draw(), 5000);

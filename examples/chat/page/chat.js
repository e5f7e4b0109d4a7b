import { $, announce, badge, count, duration, hue, make, now } from "/dom.js";
import { drawNodes, note } from "/nodes.js";
import { counted, measure, sendAll, since } from "/proof.js";
import { Socket } from "/socket.js";

const LIVELY = 2500; // milliseconds: a node hears itself once a second
const KEPT = 500; // messages for each room

// The way to another node carries the name and the rooms along, since each port has its own storage.
const carried = new URLSearchParams(location.hash.slice(1));
const me = { name: carried.get("name") || localStorage.getItem("name") || `guest ${Math.ceil(Math.random() * 999)}` };
const rooms = new Map(); // name -> { lines, unread }
const myIds = new Set(); // of the sockets that this page has had
const wanted = new Set(carried.getAll("room").length ? carried.getAll("room") : ["lobby"]);
let active = null;
let node = null; // what the node said last of all
let proxied = null; // whether something stands between this page and its node

// ---- messages ----

function show(room, line) {
  const kept = rooms.get(room);
  if (!kept) return;
  kept.lines.push(line);
  if (kept.lines.length > KEPT) kept.lines.shift();
  if (room === active) append(line);
  else if (line.text !== undefined) {
    kept.unread += 1;
    drawTabs();
  }
}

function append(line) {
  const list = $("messages");
  list.querySelector(".empty")?.remove();
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.append(drawn(line));
  while (list.children.length > KEPT) list.firstChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
}

function drawn(line) {
  if (line.text === undefined) {
    const text = line.lost ?? line.told ?? `${line.name} ${line.what} on ${line.node}`;
    return make("li", { class: line.lost ? "notice lost" : "notice" }, text);
  }
  const time = line.at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return make(
    "li",
    { class: myIds.has(line.id) ? "message mine" : "message" },
    make("div", { class: "from" }, make("b", {}, line.name), badge(line.node), make("time", {}, time), ...took(line)),
    make("p", {}, line.text),
  );
}

function took({ ms }) {
  return ms == null ? [] : [make("span", { class: "took", title: "From the sender's page to this one" }, duration(ms))];
}

function drawMessages() {
  const lines = rooms.get(active)?.lines ?? [];
  const empty = active ? `Nothing here yet. What you write reaches everyone in ${active}, on every node.` : "Join a room to talk.";
  $("messages").replaceChildren(...(lines.length ? lines.map(drawn) : [make("li", { class: "empty" }, empty)]));
  $("messages").scrollTop = $("messages").scrollHeight;
  $("text").disabled = !active;
}

// ---- rooms ----

function drawTabs() {
  const tabs = [...rooms].map(([room, { unread }]) => {
    const open = make(
      "button",
      { type: "button", "aria-current": room === active ? "true" : undefined, onclick: () => activate(room) },
      `# ${room}`,
      ...(unread ? [make("span", { class: "unread" }, String(unread))] : []),
    );
    const close = make("button", { type: "button", class: "leave", "aria-label": `Leave ${room}`, onclick: () => leave(room) }, "×");
    return make("span", { class: room === active ? "tab active" : "tab" }, open, close);
  });
  $("tabs").replaceChildren(...tabs);
}

function activate(room) {
  active = room;
  if (rooms.has(room)) rooms.get(room).unread = 0;
  drawTabs();
  drawMessages();
  if (matchMedia("(pointer: fine)").matches) $("text").focus();
}

async function join(room, { quietly = false } = {}) {
  const name = await ask("join", { room });
  if (name === undefined) return;
  wanted.add(name);
  if (!rooms.has(name)) rooms.set(name, { lines: [], unread: 0 });
  remember();
  if (!quietly || !rooms.has(active)) activate(name);
  else drawTabs();
}

async function leave(room) {
  if ((await ask("leave", { room })) === undefined) return;
  wanted.delete(room);
  rooms.delete(room);
  remember();
  activate(room === active ? (rooms.keys().next().value ?? null) : active);
}

// ---- the nodes ----

// Behind a proxy, which picks the node, nobody but the proxy reaches the nodes' own ports.
function link(port) {
  return proxied ? null : address(port);
}

function address(port) {
  const rest = new URLSearchParams([["name", me.name], ...[...wanted].map((room) => ["room", room])]);
  return `${location.protocol}//${location.hostname}:${port}/#${rest}`;
}

function drawState(state) {
  const before = node;
  node = state;
  $("cluster").inert = false;
  proxied ??= Number(location.port || 80) !== state.port;
  document.title = `${state.node} · Roomcast chat`;
  $("node").textContent = state.node;
  $("node").style.setProperty("--hue", hue(state.node));
  const alone = state.health === null;
  const late = state.degraded !== null || state.health > LIVELY;
  $("health").dataset.state = alone ? "off" : late ? "bad" : "good";
  document.body.classList.toggle("cut-off", late && !alone);
  const nodes = count(state.nodes.length, "node");
  const broker = state.round_trip === null ? "" : `, broker ${duration(state.round_trip)}`;
  const echo = state.health < 1000 ? `${state.health} ms` : `${(state.health / 1000).toFixed(1)} s`;
  $("health").textContent = alone ? "no adapter: this node is alone" : late ? `cut off, last echo ${echo} ago` : nodes + broker;
  if (state.degraded !== null) trouble(`This node is cut off from the others: ${state.degraded}. What you write is seen here at once, and sent on when the broker is back.`);
  else if (late && !alone) trouble("This node has not heard itself through the broker for a while.");
  else trouble(null, "state");
  if (before && before.node !== state.node) moved(before.node, state.node);
  drawNodes(state, { order, link });
  if (settled) state.cards.forEach(reckon);
}

function moved(from, to) {
  note("moved", `${from} does not answer; this page is now on ${to}`);
  tell({ told: `${from} does not answer. This page has moved to ${to}.` });
}

function order(action) {
  ask("demo", action);
}

// ---- what was missed ----

// Each node counts what is said in a room. While the page is connected it gets all of it, or is told of a gap; what was counted while
// it was not, it has missed.
const heard = new Map(); // run of a node and room -> the newest number
const doubtful = new Set(); // which of them have to be compared, since the page was away
let settled = false; // whether the page is in its rooms
let missed = 0;

// `came` of those up to the newest number are here.
function compare(key, newest, came = 0) {
  if (doubtful.delete(key)) missed += Math.max(0, newest - came - heard.get(key));
  heard.set(key, Math.max(newest, heard.get(key) ?? 0)); // a card can be older than a message
}

function reckon({ id, said, gone }) {
  if (gone) return;
  for (const room of rooms.keys()) compare(`${id} ${room}`, said[room] ?? 0);
  if (missed > 0) {
    tell({ lost: `${count(missed, "message")} did not get here while this page was disconnected` });
    note("gap", `${count(missed, "message")} were missed while this page was disconnected`);
  }
  missed = 0;
}

function tell(line) {
  for (const room of rooms.keys()) show(room, line);
}

// ---- the server ----

let troubleFrom = null;

// Clearing takes away only what the same source had shown.
function trouble(text, from = "state") {
  if (text === null && troubleFrom !== from) return;
  troubleFrom = text === null ? null : from;
  $("trouble").hidden = text === null;
  // Set anew, the same text would be spoken again.
  if ($("trouble-text").textContent !== (text ?? "")) $("trouble-text").textContent = text ?? "";
  if (from !== "link") drawAttempts(null);
}

function drawAttempts(waiting) {
  $("try-now").hidden = waiting === null;
  $("attempts").textContent = waiting === null ? "" : `Attempt ${waiting.failures} at ${socket.place} in ${duration(waiting.wait)}.`;
}

// The server's answer, or undefined when it refused or is away; then the page says why.
async function ask(event, data) {
  try {
    const { ok, error } = await socket.emit(event, data);
    trouble(error ?? null, "ask");
    return ok;
  } catch (error) {
    trouble(`${error.message}; trying again`, "link");
    return undefined;
  }
}

function remember() {
  localStorage.setItem("name", me.name);
  history.replaceState(null, "", address(location.port || 80).replace(/^[^#]*/, location.pathname));
  if (node) drawNodes(node, { order, link });
}

// The hosts of all servers: behind a proxy there is but one.
function places() {
  const ports = proxied || !node ? [] : [...node.cards, ...(node.demo?.nodes ?? [])].map(({ port }) => port);
  return [...new Set([location.host, ...ports.sort().map((port) => `${location.hostname}:${port}`)])];
}

const socket = new Socket(() => ({ name: me.name }), places);
let lostAt = null;

socket.on("connect", async ({ sid }) => {
  myIds.add(sid);
  trouble(null, "link");
  drawAttempts(null);
  if (lostAt !== null) announce(`Connected again after ${duration(performance.now() - lostAt)}`);
  lostAt = null;
  for (const room of wanted) await join(room, { quietly: true });
  settled = true;
  drawMessages();
});
socket.on("disconnect", () => {
  settled = false;
  lostAt = performance.now();
  for (const key of heard.keys()) doubtful.add(key);
  $("cluster").inert = true; // what it shows is old, and nobody takes its orders
  $("health").dataset.state = "bad";
  $("health").textContent = "disconnected";
});
socket.on("waiting", ({ failures, places, wait }) => {
  $("health").dataset.state = "bad";
  $("health").textContent = "disconnected";
  const who = places.length > 1 ? "this node was lost; looking for another one" : "this node was lost; trying again";
  const text = failures > 2 * places.length ? `Nobody answers at ${places.join(", ")}. Is it running?` : `The connection to ${who}.`;
  trouble(text, "link");
  drawAttempts({ failures, wait });
});
socket.on("message", (line) => {
  const ms = since(line.at);
  if (!myIds.has(line.id)) measure(ms);
  compare(`${line.by} ${line.room}`, line.seq, 1);
  show(line.room, { ...line, ms, at: new Date() });
});
socket.on("number", (line) => counted(line, myIds.has(line.id)));
socket.on("moved", (line) => show(line.room, line));
socket.on("lost", ({ node: name, count: many }) => {
  tell({ lost: many === null ? `What ${name} sent last may not have got here` : `${count(many, "event")} of ${name} did not get here` });
});
socket.on("state", drawState);

$("name").value = me.name;
$("name-form").addEventListener("submit", (event) => {
  event.preventDefault();
  $("name").blur();
});
$("name").addEventListener("change", async () => {
  const name = $("name").value.trim();
  if ((await ask("name", { name })) !== undefined) {
    me.name = name;
    remember();
  }
  $("name").value = me.name;
});
$("join").addEventListener("submit", (event) => {
  event.preventDefault();
  join($("room").value);
  $("room").value = "";
});
$("compose").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = $("text").value;
  if (!text.trim() || !active) return;
  $("text").value = "";
  if ((await ask("message", { room: active, text, at: now() })) === undefined && !$("text").value) $("text").value = text;
});
$("send-all").addEventListener("click", () => active && sendAll(ask, active));
$("try-now").addEventListener("click", () => socket.tryNow());
addEventListener("online", () => socket.tryNow());

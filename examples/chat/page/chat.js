import { Socket } from "/socket.js";

const $ = (id) => document.getElementById(id);
const LIVELY = 2500; // milliseconds: a node hears itself once a second
const KEPT = 500; // messages for each room

// The way to another node carries the name and the rooms along, since each port has its own storage.
const carried = new URLSearchParams(location.hash.slice(1));
const me = { name: carried.get("name") || localStorage.getItem("name") || `guest ${Math.ceil(Math.random() * 999)}` };
const rooms = new Map(); // name -> { lines, unread }
const myIds = new Set(); // of the sockets that this page has had
const wanted = new Set(carried.getAll("room").length ? carried.getAll("room") : ["lobby"]);
let active = null;
let node = null;

// Elements are only ever made here, and text only ever set as text: nothing that a user wrote becomes markup.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

// A colour for each node, far apart for names that differ in the last letter only.
const hue = (name) => Math.round(([...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 1e6, 0) * 137.508) % 360);

function badge(name) {
  const element = make("span", { class: "badge" }, name);
  element.style.setProperty("--hue", hue(name));
  return element;
}

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
    const text = line.lost ?? `${line.name} ${line.what} on ${line.node}`;
    return make("li", { class: line.lost ? "notice lost" : "notice" }, text);
  }
  const time = line.at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return make(
    "li",
    { class: myIds.has(line.id) ? "message mine" : "message" },
    make("div", { class: "from" }, make("b", {}, line.name), badge(line.node), make("time", {}, time)),
    make("p", {}, line.text),
  );
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

// ---- who is where ----

let asking = false;
let askAgain = false;

// One question at a time: what changes meanwhile is seen by one more afterwards.
async function look() {
  if (asking) return void (askAgain = true);
  asking = true;
  do {
    askAgain = false;
    const all = await ask("who", null);
    if (all) drawNodes(all);
  } while (askAgain);
  asking = false;
}

let lastSeen = null;

function drawNodes(all) {
  lastSeen = all;
  const people = all.nodes.reduce((sum, { users }) => sum + users.length, 0);
  const count = (number, what) => `${number} ${what}${number === 1 ? "" : "s"}`;
  const silent = all.missing ? `; ${count(all.missing, "node")} did not answer` : "";
  $("summary").textContent = `${count(people, "person").replace("persons", "people")} on ${count(all.nodes.length, "node")}${silent}`;
  $("nodes").replaceChildren(...all.nodes.map(drawnNode));
}

function drawnNode({ node: name, port, users }) {
  const here = name === node?.node;
  const title = here
    ? make("span", { class: "you" }, "this one")
    : behindProxy() ? ""
    : make("a", { href: link(port), title: `Open this chat on ${name}` }, `open :${port}`);
  const list = users.map((user) =>
    make("li", {}, make("b", {}, user.name), " ", make("span", {}, user.rooms.map((room) => `# ${room}`).join("  "))),
  );
  const card = make(
    "article",
    { class: "node", "data-node": name },
    make("h3", {}, make("i"), name, title),
    make("ul", {}, ...(list.length ? list : [make("li", { class: "nobody" }, "nobody")])),
  );
  card.style.setProperty("--hue", hue(name));
  return card;
}

// Behind a proxy, which picks the node, nobody but the proxy reaches the nodes' own ports.
function behindProxy() {
  return node !== null && Number(location.port || 80) !== node.port;
}

function link(port) {
  const rest = new URLSearchParams([["name", me.name], ...[...wanted].map((room) => ["room", room])]);
  return `${location.protocol}//${location.hostname}:${port}/#${rest}`;
}

function drawState(state) {
  node = state;
  document.title = `${state.node} · Roomcast chat`;
  $("node").textContent = state.node;
  $("node").style.setProperty("--hue", hue(state.node));
  const alone = state.health === null;
  const late = state.degraded !== null || state.health > LIVELY;
  $("health").dataset.state = alone ? "off" : late ? "bad" : "good";
  document.body.classList.toggle("cut-off", late && !alone);
  const nodes = `${state.nodes.length} node${state.nodes.length === 1 ? "" : "s"}`;
  const echo = state.health < 1000 ? `${state.health} ms` : `${(state.health / 1000).toFixed(1)} s`;
  $("health").textContent = alone ? "no adapter: this node is alone" : late ? `cut off, last echo ${echo} ago` : `${nodes}, echo ${echo} ago`;
  if (state.degraded !== null) trouble(`This node is cut off from the others: ${state.degraded}. What you write is seen here at once, and sent on when the broker is back.`);
  else if (late && !alone) trouble("This node has not heard itself through the broker for a while.");
  else trouble(null, "state");
}

// ---- the server ----

let troubleFrom = null;

// Clearing takes away only what the same source had shown.
function trouble(text, from = "state") {
  if (text === null && troubleFrom !== from) return;
  troubleFrom = text === null ? null : from;
  $("trouble").hidden = text === null;
  $("trouble").textContent = text ?? "";
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
  history.replaceState(null, "", link(location.port || 80).replace(/^[^#]*/, location.pathname));
  if (lastSeen) drawNodes(lastSeen);
}

const socket = new Socket(() => ({ name: me.name }));

socket.on("connect", async ({ sid }) => {
  myIds.add(sid);
  trouble(null, "link");
  for (const room of wanted) await join(room, { quietly: true });
  drawMessages();
  look();
});
socket.on("disconnect", () => {
  $("health").dataset.state = "bad";
  $("health").textContent = "disconnected";
  trouble("The connection to this node was lost; trying again.", "link");
});
socket.on("message", (line) => show(line.room, { ...line, at: new Date() }));
socket.on("moved", (line) => show(line.room, line));
socket.on("lost", ({ node: name, count }) => {
  const what = count === null ? "Some events" : count === 1 ? "One event" : `${count} events`;
  for (const room of rooms.keys()) show(room, { lost: `${what} of ${name} did not get here` });
});
socket.on("changed", look);
socket.on("state", (state) => {
  const first = node?.node !== state.node;
  drawState(state);
  if (first && lastSeen) drawNodes(lastSeen);
});

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
  if ((await ask("message", { room: active, text })) === undefined && !$("text").value) $("text").value = text;
});

// The cards of all nodes, what can be killed, and what has happened.
import { $, announce, badge, count, duration, hue, make, redraw } from "/dom.js";

const QUIET = 2500; // milliseconds: a node tells of itself once a second
const KEPT = 60; // lines of the log
const CONSEQUENCES = new Set(["up", "down", "degraded", "recovered", "moved"]); // of what was killed or started last
const own = []; // what this page itself has to tell

const time = (at) =>
  new Date(at).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 1 });

/** Adds a line of this page's own to the log. */
export function note(kind, text) {
  own.push({ at: Date.now(), kind, text });
  if (own.length > KEPT) own.shift();
  announce(text);
}

let alive = null; // the nodes that lived when the page looked last

/** Draws it all. `order` asks for something to be killed or started; `link` gives the address of a node's page, or null. */
export function drawNodes(state, { order, link }) {
  const { cards, demo } = state;
  const seats = new Map((demo?.nodes ?? []).map((seat) => [seat.name, seat]));
  // A node that was started again before its end was seen is the one that was heard last.
  const newest = (card) => cards.every((other) => other.node !== card.node || other.age >= card.age);
  const shown = cards.filter((card) => !seats.has(card.node) || newest(card)).map((card) => ({ ...card, seat: seats.get(card.node) }));
  // What was killed and is forgotten by all still has its place.
  for (const seat of seats.values()) {
    if (!cards.some(({ node }) => node === seat.name)) shown.push({ node: seat.name, port: seat.port, seat, users: [], off: true });
  }
  shown.sort((a, b) => (a.node < b.node ? -1 : 1));
  const living = shown.filter((card) => !card.gone && !card.off);
  const people = living.reduce((sum, { users }) => sum + users.length, 0);
  $("summary").textContent = `${count(people, "person").replace("persons", "people")} on ${count(living.length, "node")}`;
  speak(new Set(living.map(({ node }) => node)));
  const buttons = (...all) => [...all].map(([text, action]) => make("button", { type: "button", onclick: () => order(action) }, text));
  const list = $("nodes");
  redraw(list, ["nodes", ...shown.map((card) => [card.node, card.seat, Boolean(card.off), Boolean(card.gone)]), state.node], () =>
    shown.map((card) => frame(card, state, { buttons, link })),
  );
  shown.forEach((card, index) => fill(list.children[index], card, state, link));
  redraw($("broker"), demo && [demo.broker], () => (demo ? broker(demo, buttons) : []));
  $("broker").hidden = !demo;
  if (demo) $("broker").dataset.state = demo.broker ? "good" : "bad";
  drawLog([...state.log, ...(demo?.log ?? []), ...own]);
}

function broker({ broker: runs }, buttons) {
  return [
    make("span", { class: "light" }),
    make("b", {}, "Broker"),
    make("span", { class: "word" }, runs ? "runs" : "is dead"),
    ...buttons(runs ? ["Kill broker", { do: "kill_broker" }] : ["Start broker", { do: "start_broker" }]),
  ];
}

// What of a card stays: its buttons can be pressed while the numbers change.
function frame(card, state, { buttons, link }) {
  const { node: name, port, seat } = card;
  const here = name === state.node;
  const address = here || card.off || card.gone ? null : link(port);
  const element = make(
    "article",
    { class: "node", "data-node": name },
    make(
      "header",
      {},
      make("span", { class: "light" }),
      make("h3", {}, badge(name)),
      here ? make("span", { class: "you" }, "this page")
        : address ? make("a", { target: "_blank", title: `Open this chat on ${name}` }, `open :${port}`) : "",
    ),
    make("p", { class: "word" }),
    make("dl", {}, ...["broker", "queue", "in", "out", "repaired", "lost"].map((key) => make("div", { "data-of": key }, make("dt", {}, key), make("dd", {})))),
    make("ul", {}),
  );
  if (seat) {
    const { runs, frozen } = seat;
    const all = runs
      ? [frozen ? ["Mend link", { do: "thaw", port }] : ["Freeze link", { do: "freeze", port }], ["Kill", { do: "kill", port }]]
      : [["Start again", { do: "start", port }]];
    element.append(make("footer", {}, ...buttons(...all)));
  }
  element.style.setProperty("--hue", hue(name));
  return element;
}

function word(card, state) {
  if (card.off) return ["off", "does not run"];
  if (card.gone) {
    const [how, ms] = card.gone;
    return ["off", `${how} ${Math.round(ms / 1000)} s ago`];
  }
  if (card.seat?.runs === false) return ["off", "killed, and nobody knows it yet"];
  if (card.seat?.frozen && card.state === "up" && card.age <= QUIET) return ["bad", "frozen, and nobody knows it yet"];
  if (state.degraded !== null && card.node !== state.node) return ["off", `heard ${duration(card.age)} ago`];
  if (card.state === "alone") return ["off", "alone"];
  if (card.state === "degraded") return ["bad", "cut off from the others"];
  if (card.age > QUIET) return ["bad", `silent for ${duration(card.age)}`];
  return card.state === "up" ? ["good", "connected"] : ["off", card.state];
}

function fill(element, card, state, link) {
  element.querySelector("header a")?.setAttribute("href", link(card.port)); // it carries the name and the rooms of now
  const [light, text] = word(card, state);
  element.dataset.state = light;
  element.classList.toggle("here", card.node === state.node);
  element.classList.toggle("gone", Boolean(card.gone || card.off));
  const put = (selector, value) => {
    const place = element.querySelector(selector);
    if (place.textContent !== value) place.textContent = value;
  };
  put(".word", text);
  const rate = (number) => `${number >= 100 ? Math.round(number / 10) * 10 : Math.round(number)}/s`;
  put("[data-of=broker] dd", card.round_trip == null || light !== "good" ? "–" : duration(card.round_trip));
  put("[data-of=queue] dd", String(card.queue ?? "–"));
  put("[data-of=in] dd", card.received === undefined ? "–" : rate(card.received));
  put("[data-of=out] dd", card.sent === undefined ? "–" : rate(card.sent));
  put("[data-of=repaired] dd", String(card.repaired ?? "–"));
  put("[data-of=lost] dd", String(card.lost ?? "–"));
  element.querySelector("[data-of=lost]").classList.toggle("some", card.lost > 0);
  element.querySelector("[data-of=repaired]").classList.toggle("some", card.repaired > 0);
  redraw(element.querySelector("ul"), card.users, () =>
    card.users.length
      ? card.users.map((user) => make("li", {}, make("b", {}, user.name), " ", make("span", {}, user.rooms.map((room) => `# ${room}`).join("  "))))
      : [make("li", { class: "nobody" }, "nobody")],
  );
}

function speak(living) {
  if (alive) {
    for (const name of living) if (!alive.has(name)) announce(`${name} is here`);
    for (const name of alive) if (!living.has(name)) announce(`${name} is gone`);
  }
  alive = living;
}

function drawLog(lines) {
  lines.sort((a, b) => a.at - b.at);
  const shown = lines.slice(-KEPT);
  redraw($("log"), shown, () => {
    let struck = null;
    const items = shown.map(({ at, kind, text }) => {
      const since = struck !== null && CONSEQUENCES.has(kind) && at - struck < 10_000 ? ` +${((at - struck) / 1000).toFixed(1)} s` : "";
      if (kind === "kill" || kind === "start") struck = at;
      return make("li", { "data-kind": kind }, make("time", {}, time(at)), make("span", {}, text, make("i", {}, since)));
    });
    return items.reverse();
  });
}

// What the other files make the page of.

export const $ = (id) => document.getElementById(id);

// Elements are only ever made here, and text only ever set as text: nothing that a user wrote becomes markup.
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

// A colour for each node, far apart for names that differ in the last letter only.
export const hue = (name) =>
  Math.round(([...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 1e6, 0) * 137.508) % 360);

export function badge(name) {
  const element = make("span", { class: "badge" }, name);
  element.style.setProperty("--hue", hue(name));
  return element;
}

export const count = (number, what) => `${number.toLocaleString("en")} ${what}${number === 1 ? "" : "s"}`;

export function duration(ms) {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

// Milliseconds since 1970, finer than Date.now(). The same for all pages of one machine.
export const now = () => performance.timeOrigin + performance.now();

// Replaces the children only when what they are made of has changed, so that a focus, a scroll position and a screen reader stay
// where they are.
const drawnFrom = new WeakMap();
export function redraw(element, from, draw) {
  const text = JSON.stringify(from);
  if (drawnFrom.get(element) === text) return;
  drawnFrom.set(element, text);
  element.replaceChildren(...draw());
}

// Spoken by a screen reader; for what changes the state of things.
export function announce(text) {
  const line = make("p", {}, text);
  $("announcer").append(line);
  setTimeout(() => line.remove(), 10_000);
}

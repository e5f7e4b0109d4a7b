// A user of the chat as a client behaves while servers are replaced: it talks all the time, and moves when it has to.
import { setInterval } from "node:timers/promises";
import { User } from "./chat.js";

const EVERY = 50; // milliseconds from what one says to the next

/** A user that goes to the next of its servers when its connection is lost. */
export class Roamer {
  /** The connections that came to be, each of them in the lobby: `{ url, user, said, reason }`; `reason` is why it ended. */
  visits = [];
  #urls;
  #words;
  #options;
  #count = 0;
  #over = false;
  #quiet = false;
  #talking;

  /** What it says is added to `words`, as `{ text, accepted, refused, burst }`: it is one or the other once it is known. */
  constructor(name, urls, words, options) {
    this.name = name;
    this.#urls = urls;
    this.#words = words;
    this.#options = options;
    this.#go(0);
    this.#talking = this.#talk();
    this.#talking.catch(() => {}); // seen in `hush`
  }

  /** The visit that lasts, unless it is on its way. */
  get here() {
    const last = this.visits.at(-1);
    return last?.reason === null ? last : undefined;
  }

  /** Says so many things without a wait for any answer. The server may carry them out in any order. */
  burst(many) {
    const { here } = this;
    return Promise.all(Array.from({ length: many }, () => this.#say(here, true)));
  }

  /** Says no more; resolves when everything is answered. */
  async hush() {
    this.#quiet = true;
    await this.#talking;
  }

  leave() {
    this.#over = this.#quiet = true;
    this.here?.user.socket.disconnect();
  }

  #go(index) {
    const url = this.#urls[index % this.#urls.length];
    const user = new User(url, { auth: { name: this.name }, ...this.#options });
    const visit = { url, user, said: [], reason: null };
    const move = (reason) => {
      visit.reason = reason;
      if (!this.#over) this.#go(index + 1);
    };
    user.socket.on("connect_error", move);
    user.socket.on("disconnect", move);
    user.socket.on("connect", async () => {
      // Refused when the connection is lost again, which is seen above.
      const joined = await user.ask("join", { room: "lobby" }).then(() => true, () => false);
      if (joined) this.visits.push(visit);
    });
  }

  async #talk() {
    for await (const _ of setInterval(EVERY)) {
      if (this.#quiet) return;
      if (this.here) await this.#say(this.here);
    }
  }

  async #say(visit, burst = false) {
    const text = `${this.name}, visit ${this.visits.length}: ${this.#count++}`;
    const word = { text, accepted: false, refused: null, burst };
    visit.said.push(word);
    this.#words.push(word);
    try {
      await visit.user.say(text);
      word.accepted = true;
    } catch (error) {
      word.refused = error.message; // or it was carried out, and the answer is lost
    }
  }
}

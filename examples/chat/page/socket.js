// A small Socket.IO client: protocol 5 over Engine.IO 4, WebSocket only, the main namespace, JSON without binary.
// An application would use the official client; this one is here so that the example needs nothing from elsewhere.
//
// It tries its server again once, then goes round the others that it is told of, more and more slowly.

const FIRST_RETRY = 200; // milliseconds, doubled after each round
const LAST_RETRY = 15000;
const TO_CONNECT = 5000;

export class Socket {
  #auth;
  #places;
  #handlers = new Map();
  #acks = new Map();
  #nextAck = 0;
  #failures = 0;
  #connected = false;
  #ws = null;
  #place = location.host;
  #waiting = null; // the timer of the next attempt
  #silence = null; // the timer that ends a connection over which nothing comes any more
  #patience = TO_CONNECT;

  // `auth` is called at each connection, so that it can give what is right then; `places`, which gives the hosts of all servers, at
  // each failure.
  constructor(auth, places) {
    this.#auth = auth;
    this.#places = places;
    this.#open();
  }

  on(event, handler) {
    this.#handlers.set(event, handler);
  }

  // Where it is connected, or tries to be.
  get place() {
    return this.#place;
  }

  // Resolves with the server's answer.
  emit(event, data) {
    if (!this.#connected) return Promise.reject(new Error("not connected"));
    const id = this.#nextAck++;
    const answered = new Promise((resolve, reject) => this.#acks.set(id, { resolve, reject }));
    this.#ws.send(`42${id}${JSON.stringify([event, data])}`);
    return answered;
  }

  // Does not wait until the next attempt is due.
  tryNow() {
    if (this.#waiting === null) return;
    clearTimeout(this.#waiting);
    this.#open();
  }

  #open() {
    this.#waiting = null;
    this.#patience = TO_CONNECT;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const ws = new WebSocket(`${scheme}://${this.#place}/socket.io/?EIO=4&transport=websocket`);
    this.#ws = ws;
    ws.onmessage = ({ data }) => ws === this.#ws && this.#receive(data);
    ws.onclose = () => ws === this.#ws && this.#lost();
    this.#listen();
  }

  #receive(text) {
    this.#listen();
    switch (text[0]) {
      case "0": // open: what the server waits for
        const { pingInterval, pingTimeout } = JSON.parse(text.slice(1));
        this.#patience = pingInterval + pingTimeout;
        this.#ws.send(`40${JSON.stringify(this.#auth())}`);
        break;
      case "2": // ping
        this.#ws.send("3");
        break;
      case "4":
        this.#packet(text[1], text.slice(2));
        break;
    }
  }

  #packet(kind, rest) {
    const [, id, json] = /^(\d*)(.*)$/s.exec(rest);
    switch (kind) {
      case "0": // connected
        this.#connected = true;
        this.#failures = 0;
        this.#call("connect", JSON.parse(json));
        break;
      case "1": // disconnected by the server
      case "4": // refused
        this.#ws.close();
        break;
      case "2": {
        const [event, ...data] = JSON.parse(json);
        this.#call(event, ...data);
        break;
      }
      case "3":
        this.#acks.get(Number(id))?.resolve(...JSON.parse(json));
        this.#acks.delete(Number(id));
        break;
    }
  }

  #call(event, ...data) {
    this.#handlers.get(event)?.(...data);
  }

  #listen() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => {
      this.#ws.onclose = null; // a dead link may never tell that it is closed
      this.#ws.close();
      this.#lost();
    }, this.#patience);
  }

  #lost() {
    clearTimeout(this.#silence);
    for (const { reject } of this.#acks.values()) reject(new Error("the connection was lost"));
    this.#acks.clear();
    if (this.#connected) this.#call("disconnect");
    this.#connected = false;
    const places = this.#places();
    this.#failures += 1;
    // The first attempt goes where the connection was.
    if (this.#failures > 1) this.#place = places[(places.indexOf(this.#place) + 1) % places.length];
    const rounds = Math.floor((this.#failures - 1) / places.length);
    const wait = Math.min(FIRST_RETRY * 2 ** rounds, LAST_RETRY) * (0.5 + Math.random());
    this.#waiting = setTimeout(() => this.#open(), wait);
    this.#call("waiting", { failures: this.#failures, places, wait });
  }
}

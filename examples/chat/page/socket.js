// A small Socket.IO client: protocol 5 over Engine.IO 4, WebSocket only, the main namespace, JSON without binary.
// An application would use the official client; this one is here so that the example needs nothing from elsewhere.

const FIRST_RETRY = 200; // milliseconds, doubled after each failure
const LAST_RETRY = 3000;

export class Socket {
  #auth;
  #handlers = new Map();
  #acks = new Map();
  #nextAck = 0;
  #retry = FIRST_RETRY;
  #connected = false;
  #ws = null;
  #silence = null; // the timer that ends a connection over which nothing comes any more
  #patience = 45000;

  // `auth` is called at each connection, so that it can give what is right then.
  constructor(auth) {
    this.#auth = auth;
    this.#open();
  }

  on(event, handler) {
    this.#handlers.set(event, handler);
  }

  // Resolves with the server's answer.
  emit(event, data) {
    if (!this.#connected) return Promise.reject(new Error("not connected"));
    const id = this.#nextAck++;
    const answered = new Promise((resolve, reject) => this.#acks.set(id, { resolve, reject }));
    this.#ws.send(`42${id}${JSON.stringify([event, data])}`);
    return answered;
  }

  #open() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const ws = new WebSocket(`${scheme}://${location.host}/socket.io/?EIO=4&transport=websocket`);
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
        this.#retry = FIRST_RETRY;
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
    setTimeout(() => this.#open(), this.#retry * (0.5 + Math.random()));
    this.#retry = Math.min(this.#retry * 2, LAST_RETRY);
  }
}

// Brings updates from the sidecar: over a WebSocket, or by polling where a proxy lets no WebSocket through. No DOM
// but the visibility of the page.

const TOPICS = ["sale", "alerts", "orders", "latency", "queues", "inventory", "connections", "completeness", "products", "health"];
const VISIBLE_MS = 1000; // the least with the topic `products`
const HIDDEN_MS = 3000; // with the age of a commit below the 5 s from which numbers are frozen
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 3000;
const HIDDEN_PAUSE_MS = 10000;
const ATTEMPTS = 3; // without a WebSocket, then it polls
const WEBSOCKET_AGAIN_MS = 60000;
const POLLS_PER_HEALTH = 3;
const CODES = { goingAway: 1001, abnormal: 1006, policy: 1008, tryLater: 1013 };

export class Feed {
  /** `onUpdate({snapshot, health})` has what came, `onStatus({status, refusal, wantsToken})` how it comes. */
  constructor({ onUpdate, onStatus, scope = "instance", base = document.baseURI, random = Math.random }) {
    this.onUpdate = onUpdate;
    this.onStatus = onStatus;
    this.scope = scope;
    this.base = base;
    this.random = random;
    this.token = "";
    this.attempt = 0;
    this.failedSockets = 0;
    this.polls = 0;
  }

  start() {
    addEventListener("online", () => this.hurry());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.hurry();
      this.subscribe();
    });
    setInterval(() => this.watch(), 1000);
    setInterval(() => this.preferSocket(), WEBSOCKET_AGAIN_MS);
    this.connect();
  }

  /** Try this token: it is kept in memory alone. */
  authenticate(token) {
    this.token = token;
    this.locked = false;
    this.attempt = 0;
    this.disconnect();
    this.connect();
  }

  /** Ask for a path, with the token. */
  fetch(path) {
    const headers = this.token ? { Authorization: `Bearer ${this.token}` } : {};
    return fetch(new URL(path, this.base), { headers, cache: "no-store", signal: AbortSignal.timeout(4000) });
  }

  get interval() {
    return document.hidden ? HIDDEN_MS : VISIBLE_MS;
  }

  connect() {
    this.timer = 0;
    this.heardAt = performance.now();
    if (this.failedSockets >= ATTEMPTS) this.poll();
    else this.openSocket();
  }

  hurry() {
    if (!this.timer || this.locked) return;
    clearTimeout(this.timer);
    this.attempt = 0;
    this.connect();
  }

  disconnect() {
    clearTimeout(this.timer);
    this.timer = 0;
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  openSocket() {
    const url = new URL("ws", this.base);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url);
    this.socket = socket;
    socket.onopen = () => this.greet();
    socket.onmessage = ({ data }) => socket === this.socket && this.receive(JSON.parse(data));
    socket.onclose = ({ code }) => socket === this.socket && this.closed(code);
  }

  greet() {
    if (this.token) this.send("authenticate", { token: this.token });
    this.subscribe();
  }

  subscribe() {
    this.send("subscribe-metrics", { interval_ms: this.interval, topics: TOPICS, scope: this.scope });
  }

  send(event, data) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ event, data }));
  }

  receive({ event, data }) {
    this.heardAt = performance.now();
    if (event === "metrics-update") {
      this.failedSockets = 0;
      this.update(data.orders ? data : null, data.health ?? null);
    }
    if (event === "error" && data.code === "unauthorized") this.lock();
  }

  update(snapshot, health) {
    this.attempt = 0;
    this.onStatus({ status: "open" });
    this.onUpdate({ snapshot, health });
  }

  async poll() {
    this.socket = null;
    try {
      const answer = await this.fetch(`monitoring/metrics?scope=${this.scope}`);
      if (answer.status === 401) return this.lock();
      const snapshot = answer.ok ? await answer.json() : null;
      const asksHealth = !snapshot || this.polls++ % POLLS_PER_HEALTH === 0;
      const health = asksHealth ? await (await this.fetch("monitoring/health")).json() : null;
      this.heardAt = performance.now();
      this.update(snapshot, health?.components ? health : null);
      this.timer = setTimeout(() => this.connect(), this.interval);
    } catch {
      this.again(0);
    }
    return undefined;
  }

  /** Close a connection that says nothing: it is half open. */
  watch() {
    if (!this.socket || performance.now() - this.heardAt < 3 * this.interval + 3000) return;
    this.disconnect();
    this.again(0);
  }

  preferSocket() {
    if (this.failedSockets >= ATTEMPTS) this.failedSockets = ATTEMPTS - 1;
  }

  async closed(code) {
    this.socket = null;
    if (code === CODES.policy) return this.lock();
    this.again(code);
    // A handshake that was denied closes with 1006, whatever the reason: only a request tells which.
    const refusal = code === CODES.abnormal ? await this.refusal() : 0;
    if (refusal === 401) return this.lock();
    if (refusal) this.failedSockets += 1;
    if (refusal && this.timer) this.onStatus({ status: "closed", refusal });
    return undefined;
  }

  async refusal() {
    try {
      return (await this.fetch("monitoring/health")).status;
    } catch {
      return 0;
    }
  }

  again(code) {
    if (this.timer || this.locked) return;
    const longest = document.hidden ? HIDDEN_PAUSE_MS : LONGEST_PAUSE_MS;
    let pause = this.random() * Math.min(longest, FIRST_PAUSE_MS * 2 ** this.attempt);
    this.attempt += 1;
    if (code === CODES.goingAway) pause = 500 * (0.5 + this.random());
    if (code === CODES.tryLater) pause = Math.max(2000, pause);
    this.timer = setTimeout(() => this.connect(), Math.max(100, pause));
    this.onStatus({ status: "closed" });
  }

  /** Wait for a token. */
  lock() {
    this.disconnect();
    this.locked = true;
    this.onStatus({ status: "closed", wantsToken: true, wasWrong: this.token !== "" });
  }
}

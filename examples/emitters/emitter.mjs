// Publish a backend's events to the sidecar. Copy this file; it needs `npm install ioredis`.
//
//   const emitter = new Emitter();
//   emitter.report({ status: "success", order_id: "1001", product_id: "sku-1", latency_ms: 42.5 });
//
// `report` only adds to a buffer: it never waits for Redis and never throws, so it cannot delay or fail an order. What is
// in the buffer is published in order. While Redis is away, the buffer keeps the newest 10,000 events. Those it drops
// leave a hole in the numbers, which the sidecar shows as missed.

import os from "node:os";
import readline from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { threadId } from "node:worker_threads";
import Redis from "ioredis";

const URL = process.env.REDIS_URL ?? "redis://127.0.0.1:6379/0";
const NAME = "flash_sale:events"; // of the stream, or of the channel
const BUFFER_EVENTS = 10_000;
const BATCH_EVENTS = 100; // published at once
const HEARTBEAT_MS = 2000;
const RETRY_MS = 500;
const CLOSE_MS = 5000; // how long the end of the process may wait for Redis

// Numbers events and publishes them in the background; use one in each process or worker thread.
export class Emitter {
  #producer = { producer: `${os.hostname()}:${process.pid}:${threadId}`, epoch: Date.now() };
  #seq = 0;
  #dropped = 0;
  #buffer = [];
  #last = 0; // the last number published
  #due = 0; // when to send a heartbeat
  #busy = null;
  #timer;
  #client;
  #transport;

  constructor(transport = "stream") {
    this.#transport = transport;
    // By default ioredis keeps commands while Redis is away, and sends them again: here the buffer does.
    this.#client = new Redis(URL, {
      commandTimeout: 2000,
      connectTimeout: 2000,
      maxRetriesPerRequest: 0,
      retryStrategy: () => RETRY_MS,
    });
    this.#client.on("error", () => {}); // without a listener, ioredis prints each one
    this.#timer = setInterval(() => this.#wake(), HEARTBEAT_MS).unref();
  }

  report(event) {
    this.#seq += 1;
    try {
      this.#buffer.push(JSON.stringify({ ts: Date.now(), ...event, ...this.#producer, seq: this.#seq }));
    } catch (error) {
      console.error(`An event is no JSON, and is missed: ${error.message}`);
    }
    if (this.#buffer.length > BUFFER_EVENTS) {
      this.#buffer.shift();
      this.#dropped += 1;
    }
    this.#wake();
  }

  // Publish what is left, if Redis is there.
  async close() {
    clearInterval(this.#timer);
    const late = new AbortController();
    const finish = async () => {
      await this.#wake();
      await this.#insist([this.#heartbeat()]);
    };
    await Promise.race([finish(), sleep(CLOSE_MS, null, { signal: late.signal })]);
    late.abort();
    this.#client.disconnect();
  }

  #wake() {
    return (this.#busy ??= this.#run().finally(() => (this.#busy = null)));
  }

  async #run() {
    do {
      const batch = this.#buffer.splice(0, BATCH_EVENTS);
      const taken = this.#seq - this.#buffer.length;
      if (Date.now() >= this.#due) {
        batch.unshift(this.#heartbeat());
        this.#due = Date.now() + HEARTBEAT_MS - 100; // the timer may be early
      }
      if (batch.length > 0) await this.#insist(batch);
      this.#last = taken;
    } while (this.#buffer.length > 0);
  }

  #heartbeat() {
    return JSON.stringify({ type: "heartbeat", ...this.#producer, seq: this.#last });
  }

  // Publish until it succeeds. What arrives twice (an answer was lost) has the same numbers, and counts once.
  async #insist(batch) {
    const payload = `[${batch.join()}]`;
    for (let away = false; ; await sleep(RETRY_MS)) {
      try {
        await this.#publish(payload);
        if (away) console.error(`Redis is back; ${this.#dropped} events were dropped so far`);
        return;
      } catch (error) {
        if (!away) console.error(`Redis is away: ${error.message}`);
        away = true;
      }
    }
  }

  #publish(payload) {
    if (this.#transport === "pubsub") return this.#client.publish(NAME, payload);
    return this.#client.xadd(NAME, "MAXLEN", "~", 1_000_000, "*", "e", payload);
  }
}

// As a program, an event a line: echo '{"status":"success"}' | node emitter.mjs pubsub
if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const emitter = new Emitter(...process.argv.slice(2));
  for await (const line of readline.createInterface({ input: process.stdin })) emitter.report(JSON.parse(line));
  await emitter.close();
}

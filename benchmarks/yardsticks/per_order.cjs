// The usual design, as a Node service on ioredis: five Redis commands for every order, one pipeline each, fifty orders
// under way on one connection. The same commands as per_order.py. Prints `done` after `count` orders and ends.
"use strict";
const Redis = require("ioredis");

const UNDER_WAY = 50;
const [port, count] = process.argv.slice(2).map(Number);
const redis = new Redis(port);

async function record(number) {
  const second = `per_order:throughput:${Math.floor(Date.now() / 1000)}`;
  await redis
    .pipeline()
    .lpush("per_order:latency", 12.5)
    .ltrim("per_order:latency", 0, 9999)
    .incr(second)
    .expire(second, 3600)
    .set(`per_order:status:ord-${String(number).padStart(8, "0")}`, "success", "EX", 3600)
    .exec();
}

async function some(first) {
  for (let number = first; number < count; number += UNDER_WAY) await record(number);
}

async function main() {
  await redis.ping();
  console.log("ready");
  await Promise.all(Array.from({ length: UNDER_WAY }, (_, first) => some(first)));
  console.log("done");
  redis.disconnect();
}

main();

// Adds jobs as a producer in Node does: node add.js SOCKET QUEUE COUNT AT_ONCE TEXT.
// It says "ready" when it is connected, begins when a line comes on standard input, says "done" and waits for its end.
import { randomBytes } from "node:crypto";
import { Queue } from "bullmq";
import { Redis } from "ioredis";

const [path, name, count, atOnce, text] = process.argv.slice(2);
const queue = new Queue(name, { connection: new Redis({ path, maxRetriesPerRequest: null }) });
await queue.getJobCounts();
console.log("ready");
await new Promise((resolve) => process.stdin.once("data", resolve));
let number = 0;
async function addSome() {
  while (number < count) {
    await queue.add(name, { number: number++, text }, {
      jobId: `j${randomBytes(16).toString("hex")}`,
      attempts: 3,
      backoff: { type: "exponential", delay: 1000 },
    });
  }
}
await Promise.all(Array.from({ length: Number(atOnce) }, addSome));
console.log("done");

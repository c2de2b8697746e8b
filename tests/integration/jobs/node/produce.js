// Adds jobs as a producer in Node does: node produce.js SOCKET QUEUE '[{"name", "data", "opts"}, ...]'; prints their ids.
import { Queue } from "bullmq";
import { Redis } from "ioredis";

const [path, name, jobs] = process.argv.slice(2);
const queue = new Queue(name, { connection: new Redis({ path, maxRetriesPerRequest: null }) });
const added = [];
for (const { name: type, data, opts } of JSON.parse(jobs)) {
  added.push((await queue.add(type, data, opts)).id);
}
console.log(JSON.stringify(added));
process.exit(0);

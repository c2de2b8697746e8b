// A worker in Node: node work.js SOCKET QUEUE CONCURRENCY; each job returns what it carries.
import { Worker } from "bullmq";
import { Redis } from "ioredis";

const [path, name, concurrency] = process.argv.slice(2);
const worker = new Worker(name, async (job) => job.data, {
  connection: new Redis({ path, maxRetriesPerRequest: null }),
  concurrency: Number(concurrency),
  removeOnComplete: { count: 1000, age: 3600 },
  lockDuration: 10000,
  stalledInterval: 5000,
});
process.on("SIGTERM", () => worker.close().then(() => process.exit(0)));

// Takes jobs as a worker in Node does: node work.js SOCKET QUEUE; prints a line for each and fails the unhappy ones.
import { Worker } from "bullmq";
import { Redis } from "ioredis";

const [path, name] = process.argv.slice(2);
const connection = new Redis({ path, maxRetriesPerRequest: null });
const worker = new Worker(
  name,
  async (job) => {
    console.log(JSON.stringify({ id: job.id, name: job.name, data: job.data, attempts: job.opts.attempts }));
    await job.updateProgress(50);
    if (job.data.text === "unhappy") throw new Error("node says no");
    return { said: job.data.text };
  },
  { connection },
);
process.on("SIGTERM", () => worker.close().then(() => process.exit(0)));

// Bull Board on a port of its own, which is printed: node board.js SOCKET QUEUE...
import { createBullBoard } from "@bull-board/api";
import { BullMQAdapter } from "@bull-board/api/bullMQAdapter";
import { ExpressAdapter } from "@bull-board/express";
import { Queue } from "bullmq";
import express from "express";
import { Redis } from "ioredis";

const [path, ...names] = process.argv.slice(2);
const connection = new Redis({ path, maxRetriesPerRequest: null });
const serverAdapter = new ExpressAdapter();
createBullBoard({
  queues: names.map((name) => new BullMQAdapter(new Queue(name, { connection }))),
  serverAdapter,
});
const app = express();
app.use("/", serverAdapter.getRouter());
const server = app.listen(0, "127.0.0.1", () => console.log(server.address().port));

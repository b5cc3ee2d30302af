// graphile-worker with its batching: fills a queue, waits for a line, drains it, prints how long that took.
// node graphile.mjs <connection string> <jobs> <payload bytes>
import { once } from "node:events";
import { Logger, makeWorkerUtils, run } from "graphile-worker";
import pg from "pg";

const [connectionString, jobs, bytes] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const logger = new Logger(() => (level, message) => level === "error" && console.error(message));
const pool = new pg.Pool({ connectionString, max: 10 });

const utils = await makeWorkerUtils({ pgPool: pool, logger });
await utils.migrate();
await pool.query(
  `select count(*) from graphile_worker.add_jobs(array(
     select row('nothing', json_build_object('id', n, 'body', $2::text), null, null, null, null, null, null)::graphile_worker.job_spec
     from generate_series(1, $1::int) n))`,
  [jobs, "x".repeat(bytes)],
);
await pool.query("vacuum analyze graphile_worker._private_jobs");
console.log("ready");
await once(process.stdin, "data");

const begunAt = performance.now();
const runner = await run({
  pgPool: pool,
  noHandleSignals: true,
  logger,
  preset: {
    worker: {
      concurrentJobs: 24,
      localQueue: { size: 500 },
      completeJobBatchDelay: 0,
      failJobBatchDelay: 0,
    },
  },
  taskList: { nothing: async () => {} },
});
for (;;) {
  const { rows } = await pool.query("select exists (select 1 from graphile_worker._private_jobs) as is_left");
  if (!rows[0].is_left) break;
  await new Promise((resolve) => setTimeout(resolve, 20));
}
console.log(JSON.stringify({ seconds: (performance.now() - begunAt) / 1000 }));
await runner.stop();
await pool.end();
process.exit(0);

// Messages and what becomes of them: posts that both libraries verify, attempts, retries, rotation, replays.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { MessageAttemptTriggerType as Trigger, MessageStatus as Status, messageInRaw } from "svix";
import { answers, ids, isRefused, pages, posted, posts, refusal, until, verified } from "./world.mjs";

const settled = async ({ svix, app }, message, count) => {
  const list = async () => (await svix.messageAttempt.listByMsg(app, message.id)).data;
  const done = (rows) => rows.length >= count && rows.every((row) => row.status === Status.Success || row.status === Status.Fail) && rows;
  return until(async () => done(await list()), `${count} attempts`);
};

export async function delivery(here) {
  const { svix, app, url } = here;
  const wants = await svix.endpoint.create(app, { url: url("/wants"), uid: "wants", filterTypes: ["Js.paid"], headers: { "x-own": "1" } });
  const other = await svix.endpoint.create(app, { url: url("/other"), filterTypes: ["Js.other"] });
  const { key } = await svix.endpoint.getSecret(app, "wants");
  const made = await svix.message.create(app, { eventType: "Js.paid", eventId: "first", payload: { total: 1.5 }, tags: ["t"] });
  assert.match(made.id, /^msg_[0-9A-Za-z]{27}$/);
  assert.deepEqual([made.eventId, made.eventType, made.payload, made.tags], ["first", "Js.paid", { total: 1.5 }, ["t"]]);
  const [post] = await posted("/wants", 1);
  assert.deepEqual(verified(post, key), { total: 1.5 });
  assert.deepEqual([post.headers["webhook-id"], post.headers["x-own"]], [made.id, "1"]);
  const [attempt] = await settled(here, made, 1);
  const { id, responseDurationMs, timestamp, msg, ...shown } = attempt;
  assert.deepEqual(shown, {
    endpointId: wants.id, msgId: made.id, response: "ok", responseStatusCode: 200, status: Status.Success,
    statusText: "success", triggerType: Trigger.Scheduled, url: url("/wants"),
  });
  assert(id.startsWith("atmpt_") && responseDurationMs >= 0 && timestamp >= made.timestamp);
  assert.deepEqual((await svix.messageAttempt.get(app, made.id, id)).id, id);
  assert.deepEqual(await svix.message.get(app, "first"), made);
  const bare = await svix.message.list(app, { withContent: false, eventTypes: ["Js.paid", "Js.none"], tag: "t" });
  assert.deepEqual(bare.data.map((row) => [row.id, row.payload]), [[made.id, {}]]);
  const to = await svix.messageAttempt.listAttemptedDestinations(app, made.id);
  assert.deepEqual(to.data.map((row) => [row.id, row.status, row.url]), [[wants.id, Status.Success, url("/wants")]]);
  const of = await svix.messageAttempt.listAttemptedMessages(app, wants.id);
  assert.deepEqual(of.data.map((row) => [row.id, row.status, row.payload]), [[made.id, Status.Success, { total: 1.5 }]]);
  assert.equal(posts["/other"], undefined);
  await svix.endpoint.delete(app, other.id);
}

export async function retries(here) {
  const { svix, app, url } = here;
  answers["/slow"] = [{ status: 429, headers: { "retry-after": "2" } }, { status: 500, text: "why" }];
  const endpoint = await svix.endpoint.create(app, { url: url("/slow"), filterTypes: ["Js.slow"] });
  const made = await svix.message.create(app, { eventType: "Js.slow", payload: { a: 1 } });
  const attempts = await settled(here, made, 3);
  assert.deepEqual(attempts.map((row) => row.responseStatusCode), [200, 500, 429]);
  assert.deepEqual(attempts.map((row) => row.status), [Status.Success, Status.Fail, Status.Fail]);
  assert.deepEqual(attempts.map((row) => row.response), ["ok", "why", "ok"]);
  const [first, second, third] = posts["/slow"];
  assert(second.at - first.at >= 1900, `Retry-After was not waited for: ${second.at - first.at} ms`);
  const { key } = await svix.endpoint.getSecret(app, endpoint.id);
  for (const post of [first, second, third]) assert.deepEqual(verified(post, key), { a: 1 });
  assert(Number(second.headers["webhook-timestamp"]) > Number(first.headers["webhook-timestamp"]));
  const listed = async (options) => ids((await svix.messageAttempt.listByEndpoint(app, endpoint.id, options)).data);
  assert.deepEqual(await listed({ status: Status.Success }), [attempts[0].id]);
  assert.deepEqual(await listed({ statusCodeClass: 500 }), [attempts[1].id]);
  assert.deepEqual(ids(await pages((page) => svix.messageAttempt.listByMsg(app, made.id, { limit: 1, ...page }))), ids(attempts));
  const [full] = (await svix.messageAttempt.listByEndpoint(app, endpoint.id, { withMsg: true, limit: 1 })).data;
  assert.deepEqual([full.msg.id, full.msg.payload], [made.id, { a: 1 }]);
}

export async function rotation({ svix, app, url }) {
  const endpoint = await svix.endpoint.create(app, { url: url("/turn"), filterTypes: ["Js.turn"] });
  const old = await svix.endpoint.getSecret(app, endpoint.id);
  await svix.endpoint.rotateSecret(app, endpoint.id, {});
  const now = await svix.endpoint.getSecret(app, endpoint.id);
  await svix.message.create(app, { eventType: "Js.turn", payload: {} });
  const [both] = await posted("/turn", 1);
  for (const { key } of [old, now]) verified(both, key);
  const own = "whsec_" + Buffer.alloc(32, 7).toString("base64");
  await svix.endpoint.rotateSecret(app, endpoint.id, { key: own, gracePeriodSeconds: 0 });
  await svix.message.create(app, { eventType: "Js.turn", payload: {} });
  const [, alone] = await posted("/turn", 2);
  verified(alone, own);
  isRefused(alone, now.key);
}

export async function once({ svix, app, url }) {
  await svix.endpoint.create(app, { url: url("/once"), filterTypes: ["Js.once"] });
  const said = { eventType: "Js.once", payload: { a: 1 } };
  const options = { idempotencyKey: randomUUID() };
  const both = await Promise.all([svix.message.create(app, said, options), svix.message.create(app, said, options)]);
  assert.deepEqual(both[0], both[1]);
  assert.deepEqual(await svix.message.create(app, said, options), both[0]);
  assert.equal((await refusal(svix.message.create(app, { ...said, payload: { a: 2 } }, options))).code, 409);
  await svix.message.create(app, { ...said, eventId: "twice" });
  assert.equal((await refusal(svix.message.create(app, { ...said, eventId: "twice" }))).code, 409);
  await posted("/once", 2);
  assert.equal((await svix.message.list(app, { eventTypes: ["Js.once"] })).data.length, 2);
  assert.equal(new Set(posts["/once"].map((post) => post.headers["webhook-id"])).size, 2);
}

export async function resend(here) {
  const { svix, app, url } = here;
  const endpoint = await svix.endpoint.create(app, { url: url("/again"), filterTypes: ["Js.again"] });
  const made = await svix.message.create(app, { eventType: "Js.again", payload: { a: 1 } });
  await posted("/again", 1);
  await settled(here, made, 1);
  await svix.messageAttempt.resend(app, made.id, endpoint.id);
  const [first, second] = await posted("/again", 2);
  assert.deepEqual([second.headers["webhook-id"], second.text], [made.id, first.text]);
  const attempts = await settled(here, made, 2);
  assert.deepEqual(attempts.map((row) => row.triggerType), [Trigger.Manual, Trigger.Scheduled]);
}

export async function recovery(here) {
  const { svix, app, url } = here;
  const since = new Date(Date.now() - 60_000);
  const endpoint = await svix.endpoint.create(app, { url: url("/off"), filterTypes: ["Js.off"], disabled: true });
  const made = [];
  for (const n of [1, 2, 3]) made.push(await svix.message.create(app, { eventType: "Js.off", payload: { n }, channels: [`c${n}`] }));
  const stats = () => svix.endpoint.getStats(app, endpoint.id);
  await until(async () => (await stats()).canceled === 3, "three are canceled");
  await svix.endpoint.patch(app, endpoint.id, { disabled: false });
  const task = await svix.endpoint.recover(app, endpoint.id, { since });
  assert.match(task.id, /^qtask_/);
  assert.deepEqual([task.status, task.task], ["running", "endpoint.recover"]);
  await posted("/off", 3);
  await finished(svix, task);
  await until(async () => (await stats()).success === 3, "three are delivered");
  assert.deepEqual(posts["/off"].map((post) => post.headers["webhook-id"]).sort(), ids(made).sort());
  const late = await svix.endpoint.create(app, { url: url("/late"), filterTypes: ["Js.off"], channels: ["c1", "c2"] });
  await finished(svix, await svix.endpoint.replayMissing(app, late.id, { since }));
  await posted("/late", 2);
  await finished(svix, await svix.endpoint.bulkReplay(app, late.id, { since, channel: "c2", status: Status.Success }));
  const [, , third] = await posted("/late", 3);
  assert.equal(third.headers["webhook-id"], made[1].id);
  assert.equal((await svix.backgroundTask.list({ task: "endpoint.recover" })).data[0].id, task.id);
}

async function finished(svix, task) {
  const done = await until(async () => {
    const now = await svix.backgroundTask.get(task.id);
    return now.status !== "running" && now;
  }, `${task.task} ends`);
  assert.deepEqual([done.id, done.status], [task.id, "finished"]);
  assert(done.updatedAt >= task.updatedAt);
}

export async function transformations({ svix, app, url }) {
  const endpoint = await svix.endpoint.create(app, { url: url("/made"), filterTypes: ["Js.paid"] });
  const code = JSON.stringify({ text: "{{ data.total }} was paid", total: "{{ data.total }}" });
  await svix.endpoint.patchTransformation(app, endpoint.id, { code, enabled: true });
  const read = await svix.endpoint.transformationGet(app, endpoint.id);
  assert.deepEqual([read.code, read.enabled], [code, true]);
  const example = await svix.endpoint.sendExample(app, endpoint.id, { eventType: "Js.paid" });
  const [post] = await posted("/made", 1);
  const { key } = await svix.endpoint.getSecret(app, endpoint.id);
  const total = example.payload.total;
  assert.equal(typeof total, "number");
  assert.deepEqual(verified(post, key), { text: `${total} was paid`, total });
  assert.equal((await svix.message.get(app, example.id)).id, example.id);
  await svix.endpoint.delete(app, endpoint.id);
}

export async function rawMessages(here) {
  const { svix, app, url } = here;
  await svix.endpoint.create(app, { url: url("/raw"), filterTypes: ["Js.raw"], secret: "whsec_" + Buffer.alloc(24, 1).toString("base64") });
  const made = await svix.message.create(app, messageInRaw("Js.raw", "<a>not JSON</a>", "text/xml"));
  const [post] = await posted("/raw", 1);
  assert.deepEqual([post.text, post.headers["content-type"], post.headers["webhook-id"]], ["<a>not JSON</a>", "text/xml", made.id]);
}

export async function expunging(here) {
  const { svix, app, url } = here;
  await svix.endpoint.create(app, { url: url("/gone"), filterTypes: ["Js.gone"] });
  const made = await svix.message.create(app, { eventType: "Js.gone", payload: { canary: 1 } });
  const [attempt] = await settled(here, made, 1);
  await svix.messageAttempt.expungeContent(app, made.id, attempt.id);
  assert.notEqual((await svix.messageAttempt.get(app, made.id, attempt.id)).response, "ok");
  await svix.message.expungeContent(app, made.id);
  assert.deepEqual((await svix.message.get(app, made.id)).payload, { expired: true });
}

export async function polling({ svix, app, url }) {
  const sink = await svix.endpoint.create(app, { url: url("/never"), uid: "polled", filterTypes: ["Js.poll"], disabled: true });
  const made = [];
  for (const n of [1, 2, 3]) made.push(await svix.message.create(app, { eventType: "Js.poll", payload: { n } }));
  const seen = [];
  let page = { iterator: undefined };
  await until(async () => {
    page = await svix.message.poller.poll(app, sink.id, { iterator: page.iterator, limit: 2 });
    seen.push(...page.data);
    return seen.length === 3 && page.done;
  }, "three are polled");
  assert.deepEqual(seen.map((row) => [row.id, row.payload.n]), made.map((row, index) => [row.id, index + 1]));
  const consumer = (options) => svix.message.poller.consumerPoll(app, "polled", "me", options);
  const first = await consumer({ limit: 1 });
  assert.deepEqual((await consumer({ limit: 1 })).data, first.data);
  assert.deepEqual(ids((await consumer({ iterator: first.iterator })).data), ids(made.slice(1)));
  const sought = await svix.message.poller.consumerSeek(app, "polled", "me", { after: new Date(Date.now() - 3_600_000) });
  assert.equal(typeof sought.iterator, "string");
  assert.deepEqual(ids((await consumer({})).data), ids(made));
}

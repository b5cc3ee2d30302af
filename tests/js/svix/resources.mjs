// Applications, event types and endpoints; how errors arrive; links into the portal.
import assert from "node:assert/strict";
import { MessageStatus, Svix } from "svix";
import { ids, pages, refusal } from "./world.mjs";

export async function applications({ svix, app }) {
  const made = await svix.application.create({ name: "Acme", uid: "js.acme", throttleRate: 9, metadata: { plan: "gold" } });
  assert.match(made.id, /^app_[0-9A-Za-z]{27}$/);
  assert(made.createdAt instanceof Date && made.updatedAt >= made.createdAt);
  const { id, createdAt, updatedAt, ...said } = made;
  assert.deepEqual(said, { name: "Acme", uid: "js.acme", throttleRate: 9, rateLimit: 9, metadata: { plan: "gold" } });
  assert.deepEqual(await svix.application.getOrCreate({ name: "Other", uid: "js.acme" }), made);
  assert.deepEqual(await svix.application.get(id), made);
  const patched = await svix.application.patch(id, { throttleRate: null, metadata: { plan: "iron" } });
  assert.deepEqual([patched.throttleRate, patched.metadata, patched.name], [null, { plan: "iron" }, "Acme"]);
  const put = await svix.application.update("js.acme", { name: "Put", uid: "js.acme" });
  assert.deepEqual([put.id, put.name, put.metadata], [id, "Put", {}]);
  const others = [];
  for (const name of ["b", "c"]) others.push(await svix.application.create({ name }));
  const rising = await pages((options) => svix.application.list({ limit: 1, ...options }));
  const falling = await pages((options) => svix.application.list({ limit: 2, order: "descending", ...options }));
  assert.deepEqual(ids(rising), [app, id, ...ids(others)]);
  assert.deepEqual(ids(falling), ids(rising).reverse());
  await svix.application.delete(others[0].id);
  assert.equal((await refusal(svix.application.get(others[0].id))).code, 404);
}

export async function eventTypes({ svix }) {
  const schemas = { 1: { type: "object", properties: { total: { type: "number" } }, required: ["total"] } };
  const made = await svix.eventType.create({ name: "Js.paid", description: "Paid", schemas, groupName: "js", featureFlags: ["a"] });
  assert(made.createdAt instanceof Date && made.updatedAt instanceof Date);
  const { createdAt, updatedAt, ...said } = made;
  assert.deepEqual(said, {
    name: "Js.paid", description: "Paid", schemas, groupName: "js", featureFlags: ["a"], featureFlag: "a",
    archived: false, deprecated: false,
  });
  assert.deepEqual(await svix.eventType.get("Js.paid"), made);
  assert.equal((await svix.eventType.patch("Js.paid", { deprecated: true })).deprecated, true);
  assert.equal((await svix.eventType.update("Js.paid", { description: "Put", schemas })).deprecated, false);
  await svix.eventType.create({ name: "Js.sent", description: "" });
  const names = async (options) =>
    (await pages((page) => svix.eventType.list({ limit: 1, ...options, ...page }))).map((type) => type.name);
  await svix.eventType.delete("Js.sent");
  const visible = (await names()).filter((name) => name.startsWith("Js."));
  const all = (await names({ includeArchived: true })).filter((name) => name.startsWith("Js."));
  assert.deepEqual([visible, all], [["Js.paid"], ["Js.paid", "Js.sent"]]);
  const full = await svix.eventType.list({ withContent: true });
  assert.deepEqual(full.data.find((type) => type.name === "Js.paid").schemas, schemas);
  await svix.eventType.delete("Js.sent", { expunge: true });
}

export async function endpoints({ svix, app, url }) {
  const said = {
    description: "d", uid: "js-ep", disabled: false, filterTypes: ["Js.paid"], channels: ["one"], throttleRate: 50,
    rateLimit: 50, metadata: { a: "b" }, version: 3, url: url("/never"),
  };
  const made = await svix.endpoint.create(app, said);
  const { id, createdAt, updatedAt, ...shown } = made;
  assert.match(id, /^ep_[0-9A-Za-z]{27}$/);
  assert(createdAt instanceof Date && updatedAt instanceof Date);
  assert.deepEqual(shown, said);
  assert.deepEqual(await svix.endpoint.get(app, "js-ep"), made);
  const patched = await svix.endpoint.patch(app, id, { channels: null, disabled: true });
  assert.deepEqual([patched.channels, patched.disabled, patched.version], [null, true, 3]);
  const put = await svix.endpoint.update(app, id, { url: url("/put"), description: "p", filterTypes: ["Js.paid"] });
  assert.deepEqual([put.id, put.url, put.description, put.disabled], [id, url("/put"), "p", false]);
  const other = await svix.endpoint.create(app, { url: url("/never"), filterTypes: ["Js.nothing"] });
  const listed = await pages((page) => svix.endpoint.list(app, { limit: 1, ...page }));
  assert.deepEqual(ids(listed), [id, other.id]);
  await headers({ svix, app, id });
  await svix.endpoint.delete(app, id);
  await svix.endpoint.delete(app, other.id);
  assert.equal((await refusal(svix.endpoint.get(app, id))).code, 404);
}

async function headers({ svix, app, id }) {
  await svix.endpoint.updateHeaders(app, id, { headers: { "x-one": "1", "x-api-key": "canary" } });
  await svix.endpoint.patchHeaders(app, id, { headers: { "x-two": "2" }, deleteHeaders: ["x-one"] });
  assert.deepEqual(await svix.endpoint.getHeaders(app, id), { headers: { "x-two": "2" }, sensitive: ["x-api-key"] });
  const before = await svix.endpoint.getSecret(app, id);
  assert.match(before.key, /^whsec_/);
  await svix.endpoint.rotateSecret(app, id, {});
  const after = await svix.endpoint.getSecret(app, id);
  assert.notEqual(after.key, before.key);
  assert.deepEqual(await svix.endpoint.getStats(app, id), { success: 0, pending: 0, sending: 0, fail: 0, canceled: 0 });
}

export async function errors({ svix, app, serverUrl, url, tenantKey }) {
  const codes = async (call, status, code) => {
    const error = await refusal(call);
    assert.equal(error.code, status);
    assert.equal(error.headers["content-type"], "application/json");
    if (code) assert.equal(error.body.code, code);
    assert(error.body.detail.length > 0);
    return error;
  };
  const nobody = await codes(new Svix("rk_nobody", { serverUrl }).application.list(), 401, "authentication_failed");
  assert.equal(nobody.headers["www-authenticate"], "Bearer");
  await codes(new Svix(tenantKey, { serverUrl }).application.create({ name: "x" }), 403, "insufficient access");
  await codes(svix.message.get(app, "msg_nothing"), 404, "not_found");
  await codes(svix.application.create({ name: "x", uid: "js.acme" }), 409, "conflict");
  const wrong = await codes(svix.endpoint.create(app, { url: url("/x"), filterTypes: ["no type at all"] }), 422);
  assert.deepEqual(wrong.body.detail[0].loc, ["body", "eventTypes"]);
  const missing = await codes(svix.message.create(app, { eventType: "Js.paid" }), 422);
  assert.deepEqual([missing.body.detail[0].loc, missing.body.detail[0].type], [["body", "payload"], "value_error.missing"]);
  const unfit = await codes(svix.message.create(app, { eventType: "Js.paid", payload: { total: "none" } }), 422);
  assert.equal(unfit.body.detail[0].loc[1], "payload");
  await codes(svix.endpoint.list(app, { limit: 251 }), 422);
  await codes(svix.messageAttempt.listByEndpoint(app, "ep_nothing", { status: MessageStatus.Success }), 404);
  await codes(svix.message.create(app, { eventType: "Js.other", payload: { a: "x".repeat(300_000) } }), 413, "payload_too_large");
  assert.equal((await refusal(svix.environment.export())).code, 501);
  assert.equal(await svix.health.get(), undefined);
}

export async function portal({ svix, app, serverUrl }) {
  const opened = [];
  for (const sessionId of ["s1", "s2"]) {
    const link = await svix.authentication.appPortalAccess(app, { expiry: 3600, sessionId, readOnly: true });
    assert(link.url.endsWith(`#token=${link.token}`));
    const reply = await fetch(`${serverUrl}/api/v1/auth/portal-key`, {
      method: "POST", body: JSON.stringify({ token: link.token }), headers: { "content-type": "application/json" },
    });
    opened.push(new Svix((await reply.json()).key, { serverUrl }));
  }
  for (const each of opened) assert.deepEqual(ids((await each.application.list()).data), [app]);
  await opened[0].authentication.logout();
  await svix.authentication.expireAll(app, { sessionIds: ["s2"] });
  for (const each of opened) assert.equal((await refusal(each.application.list())).code, 401);
}

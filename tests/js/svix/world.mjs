// Receivers of webhooks that keep and verify what is posted to them, and small helpers for the sections of the script.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { Webhook as StandardWebhook } from "standardwebhooks";
import { ApiException, Webhook as SvixWebhook } from "svix";

const WITHIN_MS = 30_000;

// Posts by path, oldest first; `answers[path]` are the answers to the next posts there, after them it is 200.
export const posts = {};
export const answers = {};

export const receiver = createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const post = { at: Date.now(), headers: request.headers, text: Buffer.concat(chunks).toString("utf8") };
    const kept = (posts[request.url] ??= []);
    kept.push(post);
    const { status = 200, headers = {}, text = "ok" } = answers[request.url]?.shift() ?? {};
    response.writeHead(status, headers).end(text);
  });
});

// Waits until there is something to give, and gives it.
export async function until(look, what) {
  const end = Date.now() + WITHIN_MS;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert(Date.now() < end, `waited in vain: ${what}`);
    await new Promise((wake) => setTimeout(wake, 50));
  }
}

export const posted = (path, count) =>
  until(() => (posts[path]?.length ?? 0) >= count && posts[path], `${count} posts to ${path}`);

// Both libraries verify a post and give what was signed.
export function verified(post, secret) {
  const read = new StandardWebhook(secret).verify(post.text, post.headers);
  assert.deepEqual(new SvixWebhook(secret).verify(post.text, post.headers), read);
  assert.equal(post.headers["webhook-id"], post.headers["svix-id"]);
  return read;
}

export function isRefused(post, secret) {
  assert.throws(() => new StandardWebhook(secret).verify(post.text, post.headers), /No matching signature/);
}

// What the SDK raises for a call.
export async function refusal(call) {
  try {
    await call;
  } catch (error) {
    assert(error instanceof ApiException, String(error.stack));
    return error;
  }
  assert.fail("the call was not refused");
}

// All rows of a list, page by page.
export async function pages(list, options = {}) {
  const rows = [];
  let page = { iterator: undefined, done: false };
  while (!page.done) {
    page = await list({ ...options, iterator: page.iterator });
    assert(rows.length < 1000, "the list never ends");
    rows.push(...page.data);
  }
  return rows;
}

export const ids = (rows) => rows.map((row) => row.id);

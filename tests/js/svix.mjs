// The `svix` SDK, unchanged, through every resource of a server. Says {"port"} of its receivers first, is told
// {"serverUrl", "key", "tenantKey"} in one line, then says {"section", "error"} for each section; ends by itself.
import { createInterface } from "node:readline/promises";
import { once as happens } from "node:events";
import { Svix } from "svix";
import * as messages from "./svix/messages.mjs";
import * as resources from "./svix/resources.mjs";
import { receiver } from "./svix/world.mjs";

const print = (value) => console.log(JSON.stringify(value));
const SECTIONS = { ...resources, ...messages };
const ORDER = [
  "applications", "eventTypes", "endpoints", "errors", "portal", "delivery", "retries", "rotation", "once", "resend",
  "recovery", "transformations", "rawMessages", "expunging", "polling",
];

setTimeout(() => process.exit(3), 150_000).unref();
receiver.listen(0, "127.0.0.1");
await happens(receiver, "listening");
print({ port: receiver.address().port });
const { serverUrl, key, tenantKey } = JSON.parse((await createInterface({ input: process.stdin })[Symbol.asyncIterator]().next()).value);
const svix = new Svix(key, { serverUrl });
const url = (path) => `http://127.0.0.1:${receiver.address().port}${path}`;
const app = (await svix.application.create({ name: "Script", uid: "js" })).id;
for (const section of ORDER) {
  try {
    await SECTIONS[section]({ svix, app, url, serverUrl, tenantKey });
    print({ section, error: "" });
  } catch (error) {
    print({ section, error: `${error.stack}\n${JSON.stringify(error.body ?? "")}` });
  }
}
process.exit(0);

// What an application does with supabase-js, unchanged: sign up, sign in, write under row-level security, join a private channel.
// usage: node supabase.mjs URL ANON_KEY SERVICE_KEY; prints one JSON object.
import { createClient } from "@supabase/supabase-js";
import WebSocket from "ws";

const [url, anonKey, serviceKey] = process.argv.slice(2);
const options = { auth: { persistSession: false, autoRefreshToken: false }, realtime: { transport: WebSocket, timeout: 8000 } };
const found = {};
const ada = createClient(url, anonKey, options);
const bob = createClient(url, anonKey, options);
const service = createClient(url, serviceKey, options);

const until = (register, seconds = 10) =>
  new Promise((resolve) => {
    const timer = setTimeout(() => resolve("nothing came"), seconds * 1000);
    register((value) => (clearTimeout(timer), resolve(value)));
  });
const joined = (channel) =>
  until((done) => channel.subscribe((status, error) => status !== "CLOSED" && done({ status, error: error?.message })), 15);

const signedUp = await ada.auth.signUp({ email: "ada@example.com", password: "secret1", options: { data: { name: "Ada" } } });
found.signedUp = { error: signedUp.error?.message, email: signedUp.data.user?.email, name: signedUp.data.user?.user_metadata.name };
const made = await service.auth.admin.createUser({ email: "bob@example.com", password: "secret2", email_confirm: true });
found.made = { error: made.error?.message, email: made.data.user?.email };
const refused = await ada.auth.admin.createUser({ email: "eve@example.com", password: "secret3" });
found.refused = refused.error?.message;
const wrong = await bob.auth.signInWithPassword({ email: "bob@example.com", password: "wrong-one" });
found.wrong = wrong.error?.message;
const signedIn = await bob.auth.signInWithPassword({ email: "bob@example.com", password: "secret2" });
found.signedIn = { error: signedIn.error?.message, role: signedIn.data.user?.role };
const [adaId, bobId] = [signedUp.data.user?.id, signedIn.data.user?.id];

const own = await ada.from("notes").insert({ owner: adaId, body: "hi" }).select();
found.own = { error: own.error?.message, status: own.status, body: own.data?.[0]?.body };
const foreign = await ada.from("notes").insert({ owner: bobId, body: "not mine" });
found.foreign = { code: foreign.error?.code, status: foreign.status };
const changed = await ada.from("notes").update({ body: "changed" }).eq("id", own.data?.[0]?.id).select("body").single();
found.changed = { error: changed.error?.message, data: changed.data };
const seen = await bob.from("notes").select("*");
found.seenByBob = seen.data;

const topic = `room:${adaId}`;
const config = { private: true, broadcast: { self: true, ack: true } };
await ada.realtime.setAuth();
await bob.realtime.setAuth();
const room = ada.channel(topic, { config });
const heard = until((done) => room.on("broadcast", { event: "said" }, (message) => done(message.payload)));
found.joined = await joined(room);
found.sent = await room.send({ type: "broadcast", event: "said", payload: { text: "hello" } });
found.heard = await heard;
found.denied = await joined(bob.channel(topic, { config }));

const removed = await ada.from("notes").delete().in("id", [own.data?.[0]?.id]).select();
found.removed = removed.data?.length;
const out = await ada.auth.signOut();
found.signedOut = out.error?.message ?? null;
console.log(JSON.stringify(found));
process.exit(0);

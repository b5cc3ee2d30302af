// The live page of `rowcast dev`: an ordinary user of the stock client, plus what the catcher and the jobs received.
import { RealtimeClient } from "@supabase/realtime-js";
import { List } from "./list.js";
import { changed, fields } from "./summary.js";

const KEPT = 200;
const POLL_MS = 1000;
const DRAW_MS = 100;
const byId = (id) => document.getElementById(id);
const lists = { events: new List("events"), webhooks: new List("webhooks"), jobs: new List("jobs") };
const seen = { rows: [], total: 0, drawn: 0, isPaused: false };
const joined = new Map();

function receive(topic, message) {
  const payload = message.payload ?? {};
  seen.total += 1;
  seen.rows.unshift({
    key: String(seen.total),
    title: `${payload.table ? `${payload.table} ` : ""}${message.event}`,
    at: Date.now(),
    detail: `${topic} · ${changed(payload)}`,
    value: message,
  });
  if (seen.rows.length > KEPT) seen.rows.pop();
}

function drawEvents() {
  const waiting = seen.total - seen.drawn;
  if (waiting === 0) return;
  if (seen.isPaused) {
    byId("pause").textContent = `Resume (${waiting} new)`;
    return;
  }
  seen.drawn = seen.total;
  lists.events.show(seen.rows, `${seen.total} event${seen.total === 1 ? "" : "s"}`);
}

function webhookRow(item) {
  const mark = item.verified ? { isGood: true, text: "verified" } : { isGood: false, text: `refused: ${item.reason}` };
  const value = { "webhook-id": item.id, body: item.body };
  return { key: `${item.id} ${item.receivedAt}`, title: item.type || "webhook", at: item.receivedAt, mark, detail: changed(item.body?.data ?? {}), value };
}

function jobRow(item) {
  const mark = { isGood: item.status === "delivered", text: item.status };
  const value = item.result ?? item.error ?? {};
  const detail = [item.attempt > 1 ? `attempt ${item.attempt}` : "", fields(value)].filter(Boolean).join(" · ");
  return { key: JSON.stringify(item), title: item.target, at: item.at, mark, detail, value };
}

async function poll() {
  try {
    const received = await (await fetch("/dev/received", { signal: AbortSignal.timeout(5000) })).json();
    if (!seen.isPaused) {
      lists.webhooks.show(received.webhooks.rows.map(webhookRow), `${received.webhooks.total} received`);
      lists.jobs.show(received.jobs.rows.map(jobRow), `${received.jobs.total} done`);
    }
  } catch {
    // The server is restarting; the socket's state says so, and the next poll finds it again.
  }
  setTimeout(poll, document.hidden ? POLL_MS * 5 : POLL_MS);
}

function togglePause() {
  seen.isPaused = !seen.isPaused;
  byId("pause").textContent = seen.isPaused ? "Resume" : "Pause";
  drawEvents();
}

function say(topic, status, error) {
  joined.set(topic, status);
  const isLive = [...joined.values()].every((each) => each === "SUBSCRIBED");
  const isWaiting = !isLive && [...joined.values()].every((each) => each === "SUBSCRIBED" || each === "");
  const text = isLive ? "live" : isWaiting ? "connecting" : "not connected, trying again";
  if (byId("connection").textContent !== text) byId("connection").textContent = text;
  byId("connection").dataset.state = isLive ? "joined" : isWaiting ? "waiting" : "lost";
  byId("connection").title = [...joined].map(([name, each]) => `${name}: ${(each || "joining").toLowerCase()}`).join("\n") + (error ? `\n${error.message}` : "");
  document.title = `${text} – rowcast`;
}

function join(config) {
  const client = new RealtimeClient(config.realtimeUrl, { params: { apikey: config.anonKey } });
  client.setAuth(config.token);
  const topics = new Set([...config.topics, ...new URLSearchParams(location.search).getAll("topic")]);
  for (const topic of topics) joined.set(topic, "");
  for (const topic of topics) {
    client.channel(topic, { config: { private: true } })
      .on("broadcast", { event: "*" }, (message) => receive(topic, message))
      .subscribe((status, error) => say(topic, status, error));
  }
}

const config = await (await fetch("/dev/config")).json();
byId("tenant").textContent = config.tenantId;
byId("example").textContent = config.example;
byId("pause").addEventListener("click", togglePause);
join(config);
poll();
setInterval(drawEvents, DRAW_MS);

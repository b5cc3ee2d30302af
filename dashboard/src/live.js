// The live page of `rowcast dev`: an ordinary user of the stock client, plus what the catcher and the jobs received.
import { RealtimeClient } from "@supabase/realtime-js";

const ROWS = 200;
const POLL_MS = 1000;
const byId = (id) => document.getElementById(id);
const held = { events: [], paused: false, count: 0 };

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function clockTime(at) {
  return new Date(at).toLocaleTimeString([], { hour12: false });
}

function row(title, at, detail, value, mark) {
  const item = element("li");
  const details = element("details");
  const summary = element("summary");
  const line = element("div", undefined, "row");
  line.append(element("b", title));
  const time = element("time", clockTime(at));
  time.dateTime = new Date(at).toISOString();
  line.append(time);
  const second = element("div", undefined, "detail");
  if (mark) second.append(element("span", mark.text, mark.good ? "good" : "bad"), " · ");
  second.append(detail);
  summary.append(line, second);
  details.append(summary, element("pre", JSON.stringify(value, null, 2)));
  item.append(details);
  return item;
}

function summaryOf(payload) {
  const record = payload.record ?? payload.old_record ?? payload.payload ?? payload;
  return Object.entries(record).slice(0, 4).map(([name, value]) => `${name} ${typeof value === "object" ? "…" : value}`).join(" · ");
}

function draw() {
  if (held.events.length === 0 || held.paused) return;
  const list = byId("events");
  list.querySelector(".empty")?.remove();
  for (const item of held.events.splice(0)) list.prepend(row(item.title, item.at, item.detail, item.value));
  while (list.childElementCount > ROWS) list.lastElementChild.remove();
  byId("events-count").textContent = `${held.count} event${held.count === 1 ? "" : "s"}`;
}

function receive(topic, message) {
  held.count += 1;
  const payload = message.payload ?? {};
  held.events.push({ title: `${payload.table ? `${payload.table} ` : ""}${message.event}`, at: Date.now(), detail: `${topic} · ${summaryOf(payload)}`, value: message });
  if (held.events.length > ROWS) held.events.shift();
}

function join(config) {
  const client = new RealtimeClient(config.realtimeUrl, { params: { apikey: config.anonKey } });
  client.setAuth(config.token);
  for (const topic of config.topics) {
    client.channel(topic, { config: { private: true } })
      .on("broadcast", { event: "*" }, (message) => receive(topic, message))
      .subscribe((status, error) => {
        const joined = status === "SUBSCRIBED";
        byId("connection").dataset.state = joined ? "joined" : "lost";
        byId("connection").textContent = joined ? "live" : (error?.message ?? status.toLowerCase());
      });
  }
}

function drawList(name, items, toRow, word) {
  if (held.paused) return;
  byId(`${name}-count`).textContent = `${items.total} ${word}`;
  const list = byId(name);
  // A row that somebody has opened to read must not be taken away under the pointer.
  if (items.rows.length === 0 || list.querySelector("details[open]")) return;
  list.replaceChildren(...items.rows.map(toRow));
}

function webhookRow(item) {
  const mark = { good: item.verified, text: item.verified ? "signature verified" : `refused: ${item.reason}` };
  return row(item.type || "webhook", item.receivedAt, item.id, item.body, mark);
}

function jobRow(item) {
  const mark = { good: item.status === "delivered", text: item.status };
  return row(item.target, item.at, `attempt ${item.attempt}`, item.result ?? item.error ?? {}, mark);
}

async function poll() {
  try {
    const received = await (await fetch("/dev/received", { signal: AbortSignal.timeout(5000) })).json();
    drawList("webhooks", received.webhooks, webhookRow, "received");
    drawList("jobs", received.jobs, jobRow, "done");
  } catch {
    // The server is restarting; the socket's state says so, and the next poll finds it again.
  }
  setTimeout(poll, document.hidden ? POLL_MS * 5 : POLL_MS);
}

function togglePause() {
  held.paused = !held.paused;
  byId("pause").setAttribute("aria-pressed", String(held.paused));
  byId("pause").textContent = held.paused ? "Resume" : "Pause";
}

const config = await (await fetch("/dev/config")).json();
byId("tenant").textContent = config.tenantId;
byId("example").textContent = config.example;
byId("pause").addEventListener("click", togglePause);
join(config);
poll();
setInterval(draw, 100);

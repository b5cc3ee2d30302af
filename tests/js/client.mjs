// The stock client, driven line by line: one JSON command a line on stdin, one JSON fact a line on stdout.
// usage: node client.mjs URL APIKEY VSN [CONNECT PARAMETERS AS JSON]; ends when stdin ends.
import { createInterface } from "node:readline";
import { openClient, plainError } from "./stock.mjs";
import WebSocket from "ws";

const [url, apikey, vsn, parameters] = process.argv.slice(2);
const print = (fact) => console.log(JSON.stringify(fact));
const channels = {};
let socket;

class Tapped extends WebSocket {
  constructor(...given) {
    super(...given);
    socket = this;
    this.on("close", (code) => print({ closed: code }));
    this.on("open", () => print({ opened: true }));
  }
}

const client = await openClient(url, vsn, Tapped, {
  params: { apikey, ...JSON.parse(parameters ?? "{}") },
  reconnectAfterMs: () => 100,
  onHeartbeat: (status) => print({ heartbeat: status }),
});

const shown = (message) =>
  message.payload instanceof ArrayBuffer
    ? { ...message, payload: { bytes: [...new Uint8Array(message.payload)] } }
    : message;

const commands = {
  connect: () => client.connect(),
  join: async ({ name, config, token, presence }) => {
    if (token) await client.setAuth(token);
    const channel = client.channel(name, { config });
    channels[name] = channel;
    if (presence) {
      const told = (kind) => ({ key, newPresences, leftPresences, currentPresences }) =>
        print({ name, presence: kind, key, moved: newPresences ?? leftPresences, current: currentPresences });
      channel.on("presence", { event: "join" }, told("join")).on("presence", { event: "leave" }, told("leave"));
      channel.on("presence", { event: "sync" }, () => print({ name, presence: "sync", state: channel.presenceState() }));
    }
    channel
      .on("broadcast", { event: "*" }, (message) => print({ name, message: shown(message) }))
      .on("system", {}, (system) => print({ name, system }))
      .subscribe((status, error) => print({ name, status, error: plainError(error) }));
  },
  send: async ({ name, event, payload, bytes }) => {
    const body = bytes ? new Uint8Array(bytes).buffer : payload;
    print({ name, sent: await channels[name].send({ type: "broadcast", event, payload: body }) });
  },
  // A channel that is never joined: what is sent there goes over HTTP.
  make: ({ name, config }) => {
    channels[name] = client.channel(name, { config });
  },
  httpSend: async ({ name, event, payload, bytes }) => {
    const body = bytes ? new Uint8Array(bytes).buffer : payload;
    const answer = channels[name].httpSend(event, body);
    print({ name, httpSent: await answer.catch((error) => ({ success: false, error: error.message })) });
  },
  track: async ({ name, payload }) => print({ name, tracked: await channels[name].track(payload) }),
  untrack: async ({ name }) => print({ name, untracked: await channels[name].untrack() }),
  leave: async ({ name }) => print({ name, left: await channels[name].unsubscribe() }),
  heartbeat: () => client.sendHeartbeat(),
  abort: () => socket.terminate(),
  raw: ({ text }) => socket.send(text),
  authorize: async ({ token }) => {
    await client.setAuth(token);
    print({ authorized: true });
  },
};

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const command = JSON.parse(line);
    commands[command.do](command);
  })
  .on("close", () => process.exit(0));

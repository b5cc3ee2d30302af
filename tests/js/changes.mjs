// The stock client on one channel with postgres_changes; prints one JSON fact a line and ends when stdin ends.
// usage: node changes.mjs URL APIKEY VSN BINDINGS-AS-JSON
import { createInterface } from "node:readline";
import { openClient, plainError } from "./stock.mjs";
import WebSocket from "ws";

const [url, apikey, vsn, bindings] = process.argv.slice(2);
const print = (fact) => console.log(JSON.stringify(fact));
const client = await openClient(url, vsn, WebSocket, { params: { apikey } });
const channel = client.channel("changes");

JSON.parse(bindings).forEach((binding, place) =>
  channel.on("postgres_changes", binding, (change) => print({ place, change })),
);
channel
  .on("system", {}, (system) => print({ system }))
  .subscribe((status, error) => print({ status, error: plainError(error) }));

createInterface({ input: process.stdin }).on("close", () => process.exit(0));

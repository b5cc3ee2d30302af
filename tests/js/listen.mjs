// Joins one topic with the stock client and prints what comes, one JSON line each; ends by itself.
// usage: node listen.mjs URL APIKEY TOKEN VSN TOPIC COUNT SECONDS
import { RealtimeClient } from "@supabase/realtime-js";
import WebSocket from "ws";

const [url, apikey, token, vsn, topic, count, seconds] = process.argv.slice(2);
const print = (value) => console.log(JSON.stringify(value));
const client = new RealtimeClient(url, { params: { apikey }, vsn, transport: WebSocket });
let left = Number(count);

setTimeout(() => {
  print({ timeout: true });
  process.exit(3);
}, Number(seconds) * 1000);

client.setAuth(token);
client
  .channel(topic, { config: { private: true } })
  .on("broadcast", { event: "*" }, (message) => {
    print({ message });
    left -= 1;
    if (left === 0) process.exit(0);
  })
  .subscribe((status, error) => print({ status, error: error?.message }));

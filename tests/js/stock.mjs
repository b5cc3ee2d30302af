// The stock clients, unchanged: VSN "older" is realtime-js 2.11.2, which speaks 1.0.0 only; the others are the newest.

// The older client says nothing of heartbeats; what its socket hears does.
const tellHeartbeats = (client, tell) => {
  client.stateChangeCallbacks.message.push(({ topic, payload }) => topic === "phoenix" && tell(payload.status));
};

const openOlder = async (url, Socket, { onHeartbeat, ...options }) => {
  // As in a browser: given a socket as `transport`, this version opens it and then does not listen to it.
  globalThis.WebSocket = Socket;
  const { RealtimeClient } = await import("realtime-js-older");
  const client = new RealtimeClient(url, options);
  if (onHeartbeat) tellHeartbeats(client, onHeartbeat);
  return client;
};

const openNewest = async (url, vsn, transport, { onHeartbeat, ...options }) => {
  const { RealtimeClient } = await import("@supabase/realtime-js");
  const client = new RealtimeClient(url, { ...options, vsn, transport });
  if (onHeartbeat) client.onHeartbeat(onHeartbeat);
  return client;
};

export const openClient = (url, vsn, Socket, given) => {
  const options = { timeout: 8000, ...given };
  return vsn === "older" ? openOlder(url, Socket, options) : openNewest(url, vsn, Socket, options);
};

// The older client puts the reason into quotes, as JSON.
export const plainError = (error) => (error?.message?.startsWith('"') ? JSON.parse(error.message) : error?.message);

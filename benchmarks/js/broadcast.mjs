// A room of `ws` sockets: who says "join" hears every later message of the others.
// node broadcast.mjs <port>
import { WebSocket, WebSocketServer } from "ws";

const server = new WebSocketServer({ host: "127.0.0.1", port: Number(process.argv[2]), backlog: 4096 });
const room = new Set();

server.on("connection", (socket) => {
  socket.on("error", () => {});
  socket.on("close", () => room.delete(socket));
  socket.on("message", (data, isBinary) => {
    if (data.length === 4 && data.toString() === "join") {
      room.add(socket);
      socket.send("ok");
      return;
    }
    for (const other of room) {
      if (other !== socket && other.readyState === WebSocket.OPEN) other.send(data, { binary: isBinary });
    }
  });
});

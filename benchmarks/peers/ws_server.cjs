// ws on Node.js without compression, with bufferutil, as its documentation advises for speed.
const { createServer } = require("node:http");
const { WebSocketServer, WebSocket } = require("ws");

const http = createServer();
const sockets = new WebSocketServer({ server: http, perMessageDeflate: false });

sockets.on("connection", (socket, request) => {
  socket.on("error", () => {});
  socket.toAll = request.url === "/fanout";
  socket.on("message", (data, isBinary) => {
    if (!socket.toAll) {
      socket.send(data, { binary: isBinary });
      return;
    }
    for (const client of sockets.clients) {
      if (client.readyState === WebSocket.OPEN) client.send(data, { binary: isBinary });
    }
  });
});

http.listen({ host: "127.0.0.1", port: Number(process.argv[2]), backlog: 4096 });

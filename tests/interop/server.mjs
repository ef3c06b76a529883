// A server with ws (https://github.com/websockets/ws): node server.mjs prints its port. The paths are those of peers.py.
// It serves until its standard input ends.

import { createServer } from "node:http";
import { WebSocketServer } from "ws";

const http = createServer();
const server = new WebSocketServer({
  noServer: true,
  maxPayload: 0,
  perMessageDeflate: true,
  handleProtocols: (offered) => (offered.has("echo.v1") ? "echo.v1" : false),
});

http.on("upgrade", (request, socket, head) => {
  if (request.url === "/no") {
    socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\nConnection: close\r\n\r\nNo.\n");
    return;
  }
  server.handleUpgrade(request, socket, head, (client) => {
    if (request.url === "/bye") client.close(4001, "bye");
    if (request.url === "/headers") client.send(JSON.stringify(request.headers));
    client.on("message", (data, isBinary) => client.send(data, { binary: isBinary }));
  });
});

http.listen(0, "127.0.0.1", () => console.log(http.address().port));
process.stdin.on("end", () => process.exit(0)).resume();

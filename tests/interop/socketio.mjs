// Socket.IO's own client (https://github.com/socketio/socket.io): node socketio.mjs http://127.0.0.1:PORT NAME…
// Nothing else keeps the process alive, so it ends when its connection has; a failed assertion is its exit status.

import assert from "node:assert/strict";
import { once } from "node:events";
import { io } from "socket.io-client";

const [base, ...names] = process.argv.slice(2);
const sockets = [];

function open(namespace = "/", options = {}) {
  const socket = io(base + namespace, { transports: ["websocket"], reconnection: false, forceNew: true, ...options });
  sockets.push(socket);
  return socket;
}

// What comes with an event, or why there is no connection.
function next(socket, event) {
  return new Promise((done, fail) => {
    socket.once(event, (...data) => done(data.length > 1 ? data : data[0]));
    socket.once("connect_error", fail);
  });
}

async function connect(...args) {
  const socket = open(...args);
  await next(socket, "connect");
  return socket;
}

const transport = (socket) => socket.io.engine.transport.name;

const conversations = {
  async websocket() {
    const socket = open("/", { auth: { token: "t" } });
    assert.deepEqual(await next(socket, "welcome"), { auth: { token: "t" }, namespace: "/" });
    assert.equal(transport(socket), "websocket");
    socket.emit("echo", "héllo 🌱");
    assert.deepEqual(await next(socket, "echoed"), { data: "héllo 🌱", count: 1 });
    socket.emit("echo", [1, null, { a: "b" }]);
    assert.deepEqual(await next(socket, "echoed"), { data: [1, null, { a: "b" }], count: 2 });
  },

  async upgrade() {
    const socket = open("/", { transports: ["polling", "websocket"] });
    assert.equal(transport(socket), "polling");
    await Promise.all([next(socket, "connect"), once(socket.io.engine, "upgrade")]);
    assert.equal(transport(socket), "websocket");
    socket.emit("echo", "upgraded");
    assert.deepEqual(await next(socket, "echoed"), { data: "upgraded", count: 1 });
  },

  async polling() {
    const socket = await connect("/", { transports: ["polling"] });
    socket.emit("echo", "polled");
    assert.deepEqual(await next(socket, "echoed"), { data: "polled", count: 1 });
    assert.equal(transport(socket), "polling");
  },

  async binary() {
    const socket = await connect();
    const data = Buffer.from(Array.from({ length: 100000 }, (_, at) => at % 256));
    socket.emit("echo", { data });
    const answer = await next(socket, "echoed");
    assert.deepEqual(Buffer.from(answer.data.data), data);
  },

  async acknowledged() {
    const socket = await connect();
    assert.deepEqual(await new Promise((done) => socket.emit("ask", 1, "two", (...data) => done(data))), ["two", 1]);
    assert.equal(await (await connect("/numbers")).emitWithAck("double", 21), 42);
  },

  async broadcast() {
    const all = await Promise.all([connect(), connect(), connect("/", { transports: ["polling"] })]);
    const heard = all.map((socket) => next(socket, "shouted"));
    all[0].emit("shout", "all");
    assert.deepEqual(await Promise.all(heard), ["all", "all", "all"]);
  },

  async rooms() {
    const [one, two, three] = await Promise.all([connect(), connect(), connect()]);
    assert.deepEqual(await one.emitWithAck("join", "tea"), [one.id, "tea"].sort());
    await two.emitWithAck("join", "tea");
    const heard = [next(one, "told"), next(two, "told")];
    three.on("told", () => assert.fail("three is in no room"));
    three.emit("tell", "tea", "milk");
    assert.deepEqual(await Promise.all(heard), ["milk", "milk"]);
    await one.emitWithAck("ask", 1, 2); // nothing more has come
  },

  async pushed() {
    const socket = await connect();
    const counted = [];
    socket.on("count", (left) => counted.push(left));
    socket.emit("count_down", 3);
    while (counted.length < 3) await next(socket, "count");
    assert.deepEqual(counted, [3, 2, 1]);
  },

  async refused() {
    const socket = open("/", { query: { refuse: "1" } });
    const error = await new Promise((done) => socket.once("connect_error", done));
    assert.match(error.message, /rejected/);
  },

  async failing() {
    const socket = await connect();
    socket.emit("fail");
    assert.deepEqual(await new Promise((done) => socket.emit("ask", 1, 2, (...data) => done(data))), [2, 1]);
  },

  async disconnected() {
    const socket = await connect();
    socket.emit("bye");
    assert.equal(await next(socket, "disconnect").then(([reason]) => reason), "io server disconnect");
  },

  async left() {
    const [leaving, staying] = await Promise.all([connect(), connect()]);
    const { id } = leaving;
    leaving.disconnect();
    let reason = null;
    while (reason === null) reason = await staying.emitWithAck("how_left", id);
    assert.equal(reason, "client disconnect");
  },

  async large(digits) {
    const size = Number(digits);
    const socket = await connect();
    socket.emit("echo", "x".repeat(size));
    assert.equal((await next(socket, "echoed")).data.length, size);
    socket.emit("echo", "x".repeat(2 * size));
    assert.match(String(await next(socket, "disconnect").then(([reason]) => reason)), /transport/);
  },
};

for (const name of names) {
  const [conversation, ...values] = name.split(" ");
  await conversations[conversation](...values).catch((error) => {
    throw new Error(name, { cause: error });
  });
  for (const socket of sockets.splice(0)) socket.disconnect();
}

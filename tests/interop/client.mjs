// One conversation of ws (https://github.com/websockets/ws) with our server: node client.mjs ws://127.0.0.1:PORT NAME
// Nothing else keeps the process alive, so it ends when its connection has; a failed assertion is its exit status.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import WebSocket from "ws";

const [base, name] = process.argv.slice(2);

function open(path, protocols = [], options = {}) {
  const client = new WebSocket(base + path, protocols, options);
  client.messages = [];
  client.waiting = [];
  client.on("message", (data, isBinary) => {
    client.messages.push(isBinary ? data : data.toString());
    client.waiting.shift()?.();
  });
  return client;
}

async function connect(...args) {
  const client = open(...args);
  await once(client, "open");
  return client;
}

async function receive(client) {
  if (!client.messages.length) await new Promise((done) => client.waiting.push(done));
  return client.messages.shift();
}

async function close(client, ...args) {
  client.close(...args);
  const [code, reason] = await once(client, "close");
  return [code, reason.toString()];
}

const conversations = {
  async echo(style) {
    const client = await connect(`/${style}`);
    assert.equal(client.extensions, ""); // it offers compression, and the server has none
    client.send("héllo 🌱");
    client.send(Buffer.from([0, 255, 128]));
    assert.equal(await receive(client), "héllo 🌱");
    assert.deepEqual(await receive(client), Buffer.from([0, 255, 128]));
    assert.deepEqual(await close(client, 1000, "bye"), [1000, ""]);
  },

  async compressed(route) {
    const client = await connect(`/${route}`, [], { perMessageDeflate: { threshold: 0 } });
    assert.match(client.extensions, /permessage-deflate/);
    const noise = randomBytes(70000);
    for (let turn = 0; turn < 3; turn++) {
      for (const message of ["", "x", "héllo 🌱".repeat(5000), noise, Buffer.alloc(1024 * 1024), "z".repeat(1024 * 1024)]) {
        client.send(message);
        assert.deepEqual(await receive(client), message);
      }
    }
    await close(client);
  },

  async mebibyte(style) {
    const client = await connect(`/${style}`);
    client.send("x".repeat(1024 * 1024));
    assert.equal(await receive(client), "x".repeat(1024 * 1024));
    client.send(Buffer.alloc(1024 * 1024 + 1));
    const [code] = await once(client, "close");
    assert.equal(code, 1009);
  },

  async fragments(style) {
    const client = await connect(`/${style}`);
    client.send("one, ", { fin: false });
    client.ping("between");
    client.send("two", { fin: true });
    const [payload] = await once(client, "pong");
    assert.equal(payload.toString(), "between");
    assert.equal(await receive(client), "one, two");
    assert.deepEqual(await close(client), [1005, ""]);
  },

  async ping() {
    const client = await connect("/ping"); // ws answers by itself
    assert(JSON.parse(await receive(client)) > 0);
    await close(client);
  },

  async subprotocol() {
    const client = await connect("/subprotocol", ["wamp", "soup"]);
    assert.equal(client.protocol, "soup");
    assert.equal(await receive(client), '"soup"');
    await close(client);
  },

  async closed() {
    const client = await connect("/close/4321?reason=done");
    client.send("go");
    const [code, reason] = await once(client, "close");
    assert.deepEqual([code, reason.toString()], [4321, "done"]);
  },

  async closing() {
    await close(await connect("/leaving"), 3001, "off");
    const client = await connect("/left");
    assert.deepEqual(JSON.parse(await receive(client)), [3001, "off"]);
  },

  async terminating() {
    const leaving = await connect("/leaving");
    leaving.terminate();
    const client = await connect("/left");
    assert.deepEqual(JSON.parse(await receive(client)), [1006, ""]);
  },

  async refused() {
    const [, response] = await once(open("/members"), "unexpected-response");
    assert.equal(response.statusCode, 403);
    response.destroy();
  },

  async accepted() {
    const client = await connect("/members", [], { headers: { "X-Password": "swordfish" } });
    assert.equal(await receive(client), "1");
    await close(client);
  },
};

const [conversation, style] = name.split(" ");
await conversations[conversation](style);

// An MQTT.js client that keeps what it gets, for the scenarios.
//
// The command line says where the broker is: PORT VERSION TRANSPORT. VERSION is 31, 311 or 5, and
// TRANSPORT is tcp, tls, ws or wss. The variable CA names the certificate to trust, MQTTJS the folder that npm installed into.

'use strict'

const assert = require('node:assert')
const fs = require('node:fs')
const path = require('node:path')
const mqtt = require(path.join(process.env.MQTTJS, 'node_modules', 'mqtt'))

const [port, versionName, transport] = process.argv.slice(2)
const version = { 31: 3, 311: 4, 5: 5 }[versionName]
const scheme = { tcp: 'mqtt', tls: 'mqtts', ws: 'ws', wss: 'wss' }[transport]
const url = `${scheme}://127.0.0.1:${port}/mqtt`
const protocol = {
  protocolVersion: version,
  ...(version === 3 ? { protocolId: 'MQIsdp' } : {}),
  ...(process.env.CA ? { ca: fs.readFileSync(process.env.CA) } : {})
}

// A connected client: messages in `got`, PINGRESPs counted in `pongs`, the CONNACK in `connack`.
async function connect (clientId, options = {}) {
  const client = mqtt.connect(url, { clientId, reconnectPeriod: 0, ...protocol, ...options })
  Object.assign(client, { got: [], pongs: 0, connack: null })
  // Before it is connected, because a resumed session may have something at once.
  client.on('message', (topic, payload, packet) => client.got.push({ topic, payload, packet }))
  client.on('packetreceive', ({ cmd }) => { client.pongs += cmd === 'pingresp' ? 1 : 0 })
  await new Promise((resolve, reject) => {
    client.once('connect', (connack) => resolve(Object.assign(client, { connack })))
    client.once('error', reject)
  })
  client.on('error', () => {})
  return client
}

async function until (condition) {
  for (let tries = 0; !condition(); tries++) {
    assert(tries < 2_000, 'timed out')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

// The first `count` messages; there must be no more so far.
async function receive (client, count) {
  await until(() => client.got.length >= count)
  const { got } = client
  client.got = []
  assert.strictEqual(got.length, count, got.map(({ payload }) => `${payload}`).join())
  return got
}

// The payloads of the first `count` messages.
async function texts (client, count) {
  return (await receive(client, count)).map(({ payload }) => payload.toString())
}

// All messages before the first of this topic, which must come.
async function before (client, topic) {
  await until(() => client.got.some((message) => message.topic === topic))
  const at = client.got.findIndex((message) => message.topic === topic)
  return client.got.splice(0, at + 1).slice(0, at)
}

async function leave (...clients) {
  await Promise.all(clients.map((client) => client.endAsync()))
}

// Ends without a word.
function die (client) {
  client.stream.destroy()
}

module.exports = { before, connect, die, leave, receive, texts, until, version }

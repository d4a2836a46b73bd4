// What MQTT.js sees of a broker: node mqttjs_scenarios.js URL VERSION, VERSION 3, 4 or 5.

'use strict'

const assert = require('node:assert')
const path = require('node:path')
const mqtt = require(path.join(process.env.MQTTJS, 'node_modules', 'mqtt'))

const [url, version] = [process.argv[2], Number(process.argv[3])]
const protocol = version === 3 ? { protocolId: 'MQIsdp' } : {}

async function connect (clientId, options = {}) {
  const all = { clientId, protocolVersion: version, reconnectPeriod: 0, ...protocol, ...options }
  // Self-signed by the test, which also says so.
  const client = await mqtt.connectAsync(url, { rejectUnauthorized: false, ...all })
  client.got = []
  client.on('message', (topic, payload, packet) => client.got.push({ topic, payload, packet }))
  return client
}

async function until (condition) {
  for (let tries = 0; !condition(); tries++) {
    assert(tries < 2_000, 'timed out')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

async function numberedMessagesArriveInOrder () {
  const [subscriber, publisher] = [await connect('sub'), await connect('pub')]
  for (const qos of [0, 1, 2]) {
    await subscriber.subscribeAsync(`n/${qos}`, { qos })
    const numbers = Array.from({ length: 1_000 }, (_, number) => number)
    await Promise.all(numbers.map((number) => publisher.publishAsync(`n/${qos}`, `${number}`, { qos })))
    await until(() => subscriber.got.length >= 1_000)
    assert.deepStrictEqual(subscriber.got.map(({ payload }) => Number(payload)), numbers)
    subscriber.got = []
  }
  await Promise.all([subscriber.endAsync(), publisher.endAsync()])
}

async function largeMessageArrivesWhole () {
  const client = await connect('large')
  await client.subscribeAsync('large', { qos: 1 })
  const payload = Buffer.alloc(900_000, 'abcdefg')
  await client.publishAsync('large', payload, { qos: 1 })
  await until(() => client.got.length > 0)
  assert(client.got[0].payload.equals(payload))
  await client.endAsync()
}

async function sessionIsResumed () {
  const expiry = version === 5 ? { properties: { sessionExpiryInterval: 600 } } : {}
  const away = await connect('durable', { clean: false, ...expiry })
  await away.subscribeAsync('queue', { qos: 1 })
  await away.endAsync()
  const publisher = await connect('pub')
  await publisher.publishAsync('queue', 'waiting', { qos: 1 })
  const back = mqtt.connect(url, {
    clientId: 'durable', protocolVersion: version, clean: false, rejectUnauthorized: false, ...protocol, ...expiry
  })
  const payload = await new Promise((resolve) => back.once('message', (_, payload) => resolve(payload)))
  assert.strictEqual(payload.toString(), 'waiting')
  await Promise.all([back.endAsync(), publisher.endAsync()])
}

async function requestIsAnswered () {
  if (version !== 5) return
  const [asking, answering] = [await connect('asking'), await connect('answering')]
  await answering.subscribeAsync('question', { qos: 1 })
  answering.on('message', (_topic, payload, { properties }) => {
    const { responseTopic, correlationData } = properties
    answering.publish(responseTopic, `${payload}!`, { qos: 1, properties: { correlationData } })
  })
  await asking.subscribeAsync('answer', { qos: 1 })
  const properties = { responseTopic: 'answer', correlationData: Buffer.from('7') }
  await asking.publishAsync('question', 'why', { qos: 1, properties })
  await until(() => asking.got.length > 0)
  assert.strictEqual(asking.got[0].payload.toString(), 'why!')
  assert.strictEqual(asking.got[0].packet.properties.correlationData.toString(), '7')
  await Promise.all([asking.endAsync(), answering.endAsync()])
}

async function main () {
  for (const scenario of [
    numberedMessagesArriveInOrder, largeMessageArrivesWhole, sessionIsResumed, requestIsAnswered
  ]) {
    console.log(scenario.name)
    await scenario()
  }
  console.log('all hold')
}

main().then(() => process.exit(0), (error) => {
  console.error(error)
  process.exit(1)
})

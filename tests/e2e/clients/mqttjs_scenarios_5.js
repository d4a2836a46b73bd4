// What MQTT.js sees of a broker with MQTT 5 only; mqttjs_scenarios.js runs it.

'use strict'

const assert = require('node:assert')
const { before, connect, leave, receive, texts } = require('./mqttjs_client.js')

async function requestIsAnswered () {
  const [asking, answering] = [await connect('asking'), await connect('answering')]
  await answering.subscribeAsync('question', { qos: 1 })
  answering.on('message', (_topic, payload, { properties }) => {
    const { responseTopic, correlationData } = properties
    answering.publish(responseTopic, `${payload}!`, { qos: 1, properties: { correlationData } })
  })
  await asking.subscribeAsync('answer', { qos: 1 })
  const properties = { responseTopic: 'answer', correlationData: Buffer.from('7') }
  await asking.publishAsync('question', 'why', { qos: 1, properties })
  const [answer] = await receive(asking, 1)
  assert.strictEqual(answer.payload.toString(), 'why!')
  assert.strictEqual(answer.packet.properties.correlationData.toString(), '7')
  await leave(asking, answering)
}

async function propertiesTravelWithAMessage () {
  const client = await connect('props')
  await client.subscribeAsync('p', { qos: 1 })
  const properties = {
    contentType: 'text/plain',
    payloadFormatIndicator: true,
    messageExpiryInterval: 3_600,
    userProperties: { a: ['1', '2'], b: '3' }
  }
  await client.publishAsync('p', 'x', { qos: 1, properties })
  const got = (await receive(client, 1))[0].packet.properties
  assert.deepStrictEqual({ ...got.userProperties }, properties.userProperties)
  assert(got.contentType === 'text/plain' && got.payloadFormatIndicator === true)
  assert(got.messageExpiryInterval >= 3_500 && got.messageExpiryInterval <= 3_600)
  await leave(client)
}

async function messageNamesEachSubscriptionThatItMatched () {
  const client = await connect('sub')
  for (const [filter, subscriptionIdentifier] of [['i/#', 1], ['i/+', 2], ['i/a', 268_435_455]]) {
    await client.subscribeAsync(filter, { qos: 1, properties: { subscriptionIdentifier } })
  }
  await client.publishAsync('i/a', 'x', { qos: 1 })
  const [{ packet }] = await receive(client, 1)
  const found = packet.properties.subscriptionIdentifier.sort((a, b) => a - b)
  assert.deepStrictEqual(found, [1, 2, 268_435_455])
  await leave(client)
}

async function aliasesStandForTopicsInBothDirections () {
  const publisher = await connect('pub', { autoUseTopicAlias: true })
  const subscriber = await connect('sub', { properties: { topicAliasMaximum: 4 } })
  await subscriber.subscribeAsync('alias/#', { qos: 1 })
  const aliased = []
  subscriber.on('packetreceive', ({ cmd, topic, properties }) => {
    if (cmd === 'publish' && properties?.topicAlias) aliased.push(topic)
  })
  // More topics than aliases, each often.
  const topics = Array.from({ length: 60 }, (_, number) => `alias/${number % 6}`)
  for (const topic of topics) await publisher.publishAsync(topic, topic, { qos: 1 })
  const got = await receive(subscriber, topics.length)
  assert.deepStrictEqual(got.map(({ payload }) => payload.toString()), topics)
  assert.deepStrictEqual(got.map(({ topic }) => topic), topics)
  assert(aliased.includes(''), 'the broker uses aliases where the client takes them')
  await leave(publisher, subscriber)
}

async function narrowClientGetsWhatItCanTake () {
  const properties = { receiveMaximum: 1, maximumPacketSize: 200 }
  const [narrow, publisher] = [await connect('narrow', { properties }), await connect('pub')]
  await narrow.subscribeAsync('w', { qos: 2 })
  await publisher.publishAsync('w', 'x'.repeat(500), { qos: 2 })
  const numbers = Array.from({ length: 100 }, (_, number) => `${number}`)
  for (const number of numbers) await publisher.publishAsync('w', number, { qos: 2 })
  assert.deepStrictEqual(await texts(narrow, 100), numbers)
  await leave(narrow, publisher)
}

async function subscriptionOptionsAreKept () {
  const [client, publisher] = [await connect('options'), await connect('pub')]
  await client.subscribeAsync('s', { qos: 1, nl: true, rap: true })
  await client.publishAsync('s', 'own', { qos: 1 })
  await publisher.publishAsync('s', 'other', { qos: 1, retain: true })
  const [message] = await receive(client, 1)
  assert(message.payload.toString() === 'other' && message.packet.retain)
  await client.subscribeAsync('mark', { qos: 1 })
  const sent = async (rh) => {
    await client.subscribeAsync('s', { qos: 1, rh })
    await client.publishAsync('mark', '', { qos: 1 })
    return (await before(client, 'mark')).length
  }
  assert.deepStrictEqual([await sent(0), await sent(1), await sent(2)], [1, 0, 0])
  await client.unsubscribeAsync('s')
  assert.deepStrictEqual([await sent(2), await sent(1)], [0, 0])
  await client.unsubscribeAsync('s')
  assert.strictEqual(await sent(1), 1)
  await publisher.publishAsync('s', '', { qos: 1, retain: true })
  await leave(client, publisher)
}

module.exports = [
  requestIsAnswered,
  propertiesTravelWithAMessage,
  messageNamesEachSubscriptionThatItMatched,
  aliasesStandForTopicsInBothDirections,
  narrowClientGetsWhatItCanTake,
  subscriptionOptionsAreKept
]

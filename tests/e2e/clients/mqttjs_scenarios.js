// What MQTT.js sees of a broker: node mqttjs_scenarios.js PORT VERSION TRANSPORT. See
// mqttjs_client.js for the arguments and mqttjs_scenarios_5.js for what only MQTT 5 has.

'use strict'

const assert = require('node:assert')
const { connect, die, leave } = require('./mqttjs_client.js')
const { receive, texts, until, version } = require('./mqttjs_client.js')
const scenariosOf5 = require('./mqttjs_scenarios_5.js')

async function numberedMessagesArriveInOrder () {
  const [subscriber, publisher] = [await connect('sub'), await connect('pub')]
  for (const qos of [0, 1, 2]) {
    await subscriber.subscribeAsync(`n/${qos}`, { qos })
    const numbers = Array.from({ length: 1_000 }, (_, number) => `${number}`)
    await Promise.all(numbers.map((number) => publisher.publishAsync(`n/${qos}`, number, { qos })))
    assert.deepStrictEqual(await texts(subscriber, 1_000), numbers)
  }
  await leave(subscriber, publisher)
}

async function largeMessageArrivesWhole () {
  const client = await connect('large')
  await client.subscribeAsync('large', { qos: 1 })
  const payload = Buffer.alloc(900_000, 'abcdefg')
  await client.publishAsync('large', payload, { qos: 1 })
  const [message] = await receive(client, 1)
  assert(message.payload.equals(payload))
  await leave(client)
}

async function sessionIsResumedWithWhatWasQueuedMeanwhile () {
  const expiry = version === 5 ? { properties: { sessionExpiryInterval: 600 } } : {}
  const away = await connect('durable', { clean: false, ...expiry })
  assert(!away.connack.sessionPresent)
  await away.subscribeAsync('queue/#', { qos: 2 })
  await leave(away)
  const publisher = await connect('pub')
  for (const qos of [1, 2]) await publisher.publishAsync(`queue/${qos}`, `${qos}`, { qos })
  const back = await connect('durable', { clean: false, ...expiry })
  assert(back.connack.sessionPresent || version === 3)
  assert.deepStrictEqual((await texts(back, 2)).sort(), ['1', '2'])
  await leave(back, publisher)
}

async function retainedMessageWaitsUntilItIsCleared () {
  const [publisher, late] = [await connect('pub'), await connect('late')]
  await publisher.publishAsync('kept', 'x', { qos: 1, retain: true })
  await late.subscribeAsync('kept', { qos: 1 })
  const [message] = await receive(late, 1)
  assert(message.packet.retain && message.payload.toString() === 'x')
  await publisher.publishAsync('kept', '', { qos: 1, retain: true })
  assert(!(await receive(late, 1))[0].packet.retain)
  const later = await connect('later')
  await later.subscribeAsync('kept', { qos: 1 })
  await publisher.publishAsync('kept', 'live', { qos: 1 })
  assert.deepStrictEqual(await texts(later, 1), ['live'])
  await leave(publisher, late, later)
}

async function willComesWhenItsClientDiesAndNotWhenItLeaves () {
  const watcher = await connect('watcher')
  await watcher.subscribeAsync('will/#', { qos: 1 })
  const will = (topic) => ({ will: { topic, payload: Buffer.from('gone'), qos: 1 } })
  await leave(await connect('polite', will('will/polite')))
  die(await connect('dying', will('will/dying')))
  const [message] = await receive(watcher, 1)
  assert.strictEqual(message.topic, 'will/dying')
  await leave(watcher)
}

async function overlappingFiltersGiveOneCopy () {
  const [subscriber, publisher] = [await connect('sub'), await connect('pub')]
  await subscriber.subscribeAsync({ 'o/#': { qos: 0 }, 'o/+': { qos: 2 }, 'o/a': { qos: 1 } })
  await publisher.publishAsync('o/a', 'x', { qos: 2 })
  await publisher.publishAsync('o/a/b', 'last', { qos: 2 })
  const got = (await receive(subscriber, 2)).map(({ topic, packet }) => [topic, packet.qos])
  assert.deepStrictEqual(Object.fromEntries(got), { 'o/a': 2, 'o/a/b': 0 })
  await leave(subscriber, publisher)
}

async function unsubscribedTopicComesNoMore () {
  const client = await connect('sub')
  await client.subscribeAsync(['u/gone', 'u/kept'], { qos: 1 })
  await client.unsubscribeAsync(['u/gone', 'u/never'])
  await client.publishAsync('u/gone', 'after', { qos: 1 })
  await client.publishAsync('u/kept', 'last', { qos: 1 })
  assert.deepStrictEqual(await texts(client, 1), ['last'])
  await leave(client)
}

async function sharedSubscriptionGivesEachMessageToOneMember () {
  const [one, other] = [await connect('one'), await connect('other')]
  const publisher = await connect('pub')
  for (const member of [one, other]) await member.subscribeAsync('$share/group/job', { qos: 1 })
  const numbers = Array.from({ length: 200 }, (_, number) => number)
  await Promise.all(numbers.map((number) => publisher.publishAsync('job', `${number}`, { qos: 1 })))
  await until(() => one.got.length + other.got.length >= 200)
  assert(one.got.length > 0 && other.got.length > 0)
  const got = [...one.got, ...other.got].map(({ payload }) => Number(payload))
  assert.deepStrictEqual(got.sort((a, b) => a - b), numbers)
  await leave(one, other, publisher)
}

async function idleClientStaysByPinging () {
  const client = await connect('idle', { keepalive: 4 })
  await until(() => client.pongs >= 2)
  await client.subscribeAsync('idle', { qos: 1 })
  await client.publishAsync('idle', 'here', { qos: 1 })
  assert.deepStrictEqual(await texts(client, 1), ['here'])
  await leave(client)
}

async function main () {
  const scenarios = [
    numberedMessagesArriveInOrder,
    largeMessageArrivesWhole,
    sessionIsResumedWithWhatWasQueuedMeanwhile,
    retainedMessageWaitsUntilItIsCleared,
    willComesWhenItsClientDiesAndNotWhenItLeaves,
    overlappingFiltersGiveOneCopy,
    unsubscribedTopicComesNoMore,
    sharedSubscriptionGivesEachMessageToOneMember,
    ...(version === 5 ? scenariosOf5 : [])
  ]
  const run = (scenario) => {
    console.log(scenario.name)
    return scenario()
  }
  // It mostly waits, so it runs beside the others. A busy machine may stand still for two seconds.
  const idle = run(idleClientStaysByPinging)
  for (const scenario of scenarios) await run(scenario)
  await idle
  console.log('all hold')
}

main().then(() => process.exit(0), (error) => {
  console.error(error)
  process.exit(1)
})

// A node of an Aedes cluster: node node.js MQTT-PORT REDIS-PORT
import { createServer } from 'node:net'
import { Aedes } from 'aedes'
import persistence from 'aedes-persistence-redis'
import emitter from 'mqemitter-redis'

const [port, redis] = process.argv.slice(2).map(Number)
const where = { host: '127.0.0.1', port: redis }
const aedes = await Aedes.createBroker({
  id: `node-${port}`,
  persistence: persistence(where),
  mq: emitter(where)
})
const server = createServer(socket => {
  socket.setNoDelay(true)
  aedes.handle(socket)
})
server.listen(port, '127.0.0.1')

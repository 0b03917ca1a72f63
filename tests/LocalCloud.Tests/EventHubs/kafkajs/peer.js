// Usage: node peer.js ADDRESS HUB COUNT. Reads COUNT messages of partition 0 from offset 0, then sends each value back, reversed, to
// partition 1 by an idempotent producer. Prints what it read, one JSON line a message.
// With KAFKA_PASSWORD in the environment it authenticates as an Event Hubs client does.
const { Kafka, logLevel, CompressionTypes } = require('kafkajs')
const Cluster = require('kafkajs/src/cluster') // the public consumer needs groups, which the broker does not keep
const createLogger = require('kafkajs/src/loggers')
const LoggerConsole = require('kafkajs/src/loggers/console')
const socketFactory = require('kafkajs/src/network/socketFactory')

const [address, hub, count] = process.argv.slice(2)

const password = process.env.KAFKA_PASSWORD
const sasl = password && { mechanism: 'plain', username: '$ConnectionString', password }

async function read() {
  const cluster = new Cluster({
    logger: createLogger.createLogger({ level: logLevel.ERROR, logCreator: LoggerConsole }),
    socketFactory: socketFactory(),
    brokers: [address],
    clientId: 'peer',
    sasl,
    connectionTimeout: 5000,
    retry: { retries: 3 },
    metadataMaxAge: 60000,
    isolationLevel: 1,
  })
  await cluster.connect()
  await cluster.addTargetTopic(hub)
  const broker = await cluster.findBroker({ nodeId: '0' })
  const messages = []
  while (messages.length < Number(count)) {
    const answer = await broker.fetch({
      maxWaitTime: 1000,
      topics: [{ topic: hub, partitions: [{ partition: 0, fetchOffset: String(messages.length), maxBytes: 2000 }] }],
    })
    for (const message of answer.responses[0].partitions[0].messages) {
      if (BigInt(message.offset) === BigInt(messages.length)) messages.push(message)
    }
  }
  await cluster.disconnect()
  return messages
}

async function main() {
  const messages = await read()
  for (const { offset, key, value, headers, timestamp } of messages) {
    const headerList = Object.entries(headers).map(([name, bytes]) => [name, Buffer.from(bytes).toString('base64')])
    console.log(JSON.stringify({ offset, timestamp, key: key && key.toString('base64'), value: value.toString('base64'), headers: headerList }))
  }
  const kafka = new Kafka({ clientId: 'peer', brokers: [address], sasl, logLevel: logLevel.ERROR })
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  for (const message of messages) {
    const value = Buffer.from(message.value).reverse()
    await producer.send({ topic: hub, compression: CompressionTypes.None, messages: [{ partition: 1, key: message.key, value }] })
  }
  await producer.disconnect()
}

main().then(() => process.exit(0), error => { console.error(error); process.exit(1) })

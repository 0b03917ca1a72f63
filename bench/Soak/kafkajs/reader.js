// Usage: node reader.js ADDRESS HUB PARTITIONS FILE. Reads and digests all partitions from offset 0 with kafkajs. Says {"at":[counts]} every 5 s.
// FILE, once it is there, says where each partition ends: a JSON array of counts. Having read up to there it says {"digests":[...],"counts":[...]}.
// With KAFKA_PASSWORD in the environment it authenticates as an Event Hubs client does.
const crypto = require('crypto')
const fs = require('fs')
const { logLevel } = require('kafkajs')
const Cluster = require('kafkajs/src/cluster') // the public consumer needs groups, which the broker does not keep
const createLogger = require('kafkajs/src/loggers')
const LoggerConsole = require('kafkajs/src/loggers/console')
const socketFactory = require('kafkajs/src/network/socketFactory')

const [address, hub, partitions, file] = process.argv.slice(2)
const password = process.env.KAFKA_PASSWORD
const counts = Array(Number(partitions)).fill(0)
const hashes = counts.map(() => crypto.createHash('sha256'))
let ends = null

function field(hash, bytes) {
  const length = Buffer.alloc(4)
  length.writeInt32BE(bytes ? bytes.length : -1)
  hash.update(length)
  if (bytes) hash.update(bytes)
}

function add(partition, { offset, key, value, headers }) {
  if (Number(offset) < counts[partition]) return // a batch begins before the offset asked for
  if (Number(offset) > counts[partition]) throw new Error(`partition ${partition}: offset ${counts[partition]} was due, ${offset} came`)
  const hash = hashes[partition]
  const number = Buffer.alloc(8)
  number.writeBigInt64BE(BigInt(offset))
  hash.update(number)
  field(hash, key)
  field(hash, value)
  for (const [name, bytes] of Object.entries(headers)) {
    field(hash, Buffer.from(name))
    field(hash, Buffer.from(bytes))
  }
  counts[partition]++
}

async function connect() {
  const cluster = new Cluster({
    logger: createLogger.createLogger({ level: logLevel.NOTHING, logCreator: LoggerConsole }),
    socketFactory: socketFactory(),
    brokers: [address],
    clientId: 'soak',
    sasl: password && { mechanism: 'plain', username: '$ConnectionString', password },
    connectionTimeout: 5000,
    requestTimeout: 30000,
    enforceRequestTimeout: true,
    retry: { retries: 3, initialRetryTime: 100 },
    metadataMaxAge: 300000,
    isolationLevel: 1,
  })
  await cluster.connect()
  await cluster.addTargetTopic(hub)
  return { cluster, broker: await cluster.findBroker({ nodeId: '0' }) }
}

async function main() {
  let connection = null
  let failures = 0
  let looked = Date.now()
  let told = looked
  while (!ends || counts.some((count, partition) => count < ends[partition])) {
    let answer
    try {
      connection = connection || await connect()
      answer = await connection.broker.fetch({
        maxWaitTime: 100,
        minBytes: 16384,
        maxBytes: 4194304,
        topics: [{ topic: hub, partitions: counts.map((count, partition) => ({ partition, fetchOffset: String(count), maxBytes: 1048576 })) }],
      })
      failures = 0
    } catch (error) {
      if (++failures > 100 || error.type === 'OFFSET_OUT_OF_RANGE') throw error // the broker may be away for a while
      if (connection) await connection.cluster.disconnect().catch(() => {})
      connection = null
      await new Promise(resolve => setTimeout(resolve, 300))
      continue
    }
    for (const { partition, messages } of answer.responses[0].partitions) {
      for (const message of messages) add(partition, message)
    }
    if (!ends && Date.now() - looked > 500) {
      looked = Date.now()
      if (fs.existsSync(file)) ends = JSON.parse(fs.readFileSync(file))
    }
    if (Date.now() - told > 5000) {
      told = Date.now()
      console.log(JSON.stringify({ at: counts }))
    }
  }
  console.log(JSON.stringify({ digests: hashes.map(hash => hash.digest('hex')), counts }))
}

main().then(() => process.exit(0), error => { console.error(error); process.exit(1) })

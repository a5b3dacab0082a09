// What the conformance cases of kafkajs share: names for one run, an administrator, producers and consumers.
'use strict'

const { Kafka, CompressionCodecs, CompressionTypes, logLevel } = require('kafkajs')
const dns = require('node:dns')
const net = require('node:net')
const { setTimeout: sleep } = require('node:timers/promises')
const { compress, decompress } = require('@mongodb-js/zstd')
const lz4 = require('lz4js')

CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')
/** Kafka takes only frames whose blocks are said to be independent, as the one of a small batch is. */
const INDEPENDENT = Buffer.from([0x60, 0x70, 0x73])
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async (encoder) => {
    const frame = Buffer.from(lz4.compress(encoder.buffer))
    INDEPENDENT.copy(frame, 4)
    return frame
  },
  decompress: async (buffer) => Buffer.from(lz4.decompress(buffer)),
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: (encoder) => compress(encoder.buffer),
  decompress,
})

/** Cases at once; most of their time they wait. */
const WORKERS = 4
/** How long a case waits for what must come, in milliseconds. */
const LIMIT = 30_000
/** The time of the records: of now, because retention removes older ones, if late. */
const BASE = Date.now() - 200_000

class Suite {
  constructor(told) {
    this.told = told
    this.cases = {}
    this.kafka = new Kafka({
      brokers: told.bootstrap.split(','),
      socketFactory: ({ host, port, onConnect }) => net.connect({ host, port, lookup }, onConnect),
      logLevel: logLevel.WARN,
      logCreator: () => ({ log }) => process.stderr.write(JSON.stringify(log) + '\n'),
    })
    this.admin = new Proxy({}, { get: (_, call) => (...args) => this.asked(call, args) })
  }

  /** Asks with a new administrator: one that has looked at topics keeps looking at them, gone ones too, and fails with them. */
  async asked(call, args) {
    const admin = this.kafka.admin()
    await admin.connect()
    try {
      return await admin[call](...args)
    } finally {
      await admin.disconnect()
    }
  }

  async run() {
    const left = [...this.told.cases]
    const worker = async () => {
      while (left.length) await this.one(left.shift())
    }
    await Promise.all(Array.from({ length: WORKERS }, worker))
    process.exit(0)
  }

  async one(name) {
    const facts = {}
    let line = { case: name, ok: true, detail: facts }
    try {
      await this.cases[name](facts)
    } catch (e) {
      process.stderr.write(`${name}: ${e.stack}\n`)
      line = { case: name, ok: false, detail: `${e} after ${JSON.stringify(facts)}` }
    }
    process.stdout.write(JSON.stringify(line) + '\n')
  }

  name(of) {
    return `${this.told.prefix}-${of}`
  }

  /** Makes a topic, waits until its leaders serve it, and gives its full name. */
  async topic(of, numPartitions = 1, configs = {}) {
    const topic = this.name(of)
    const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }))
    const made = await this.admin.createTopics({
      waitForLeaders: false,
      topics: [{ topic, numPartitions, replicationFactor: 3, configEntries }],
    })
    if (!made) throw Object.assign(new Error(`${topic} exists`), { code: 36 })
    // Until then records of acks=0 are lost.
    await eventually(`leaders of ${topic}`, async () => {
      try {
        return (await this.admin.fetchTopicOffsets(topic)).length === numPartitions
      } catch {
        return false
      }
    })
    return topic
  }

  /** Sends and gives the offset of the first message. */
  async produce(topic, messages, { acks = -1, compression = CompressionTypes.None, ...settings } = {}) {
    const producer = this.kafka.producer({ allowAutoTopicCreation: false, ...settings })
    await producer.connect()
    try {
      const [answer] = await producer.send({ topic, messages, acks, compression })
      return Number(answer?.baseOffset ?? -1)
    } finally {
      await producer.disconnect()
    }
  }

  /** Writes records v0, v1, … to partition 0, a second after the other. */
  fill(topic, count, settings) {
    const message = (_, i) => ({ value: `v${i}`, partition: 0, timestamp: `${BASE + (i + 1) * 1000}` })
    return this.produce(topic, Array.from({ length: count }, message), settings)
  }

  /** A member of a group that keeps what it reads. Every consumer of this library is one. */
  async member(topic, groupId, { from, ...settings } = {}) {
    const consumer = this.kafka.consumer({ groupId, heartbeatInterval: 300, allowAutoTopicCreation: false, ...settings })
    const member = { consumer, read: [], partitions: [], close: () => consumer.disconnect() }
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      member.partitions = payload.memberAssignment[topic] ?? []
    })
    await consumer.connect()
    await consumer.subscribe({ topics: [topic], fromBeginning: true })
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ partition, message }) => {
        member.read.push({ ...message, partition, offset: Number(message.offset) })
      },
    })
    if (from !== undefined) consumer.seek({ topic, partition: 0, offset: `${from}` })
    return member
  }

  /** The first records of a topic, by a group of its own. */
  async read(topic, count, settings) {
    const member = await this.member(topic, `${topic}-reader-${process.hrtime.bigint()}`, settings)
    try {
      await eventually(`${count} records of ${topic}`, () => member.read.length >= count)
      return member.read.slice(0, count)
    } finally {
      await member.close()
    }
  }
}

/** Names below localhost are this machine's (RFC 6761), which not every resolver knows. */
function lookup(host, options, found) {
  dns.lookup(host.endsWith('.localhost') ? 'localhost' : host, options, found)
}

/** Repeats until the check holds; fails when time is up. */
async function eventually(what, check) {
  const begun = Date.now()
  while (!(await check())) {
    if (Date.now() - begun > LIMIT) throw new Error(`${what}: not within ${LIMIT} ms`)
    await sleep(20)
  }
}

/** The protocol's number of the error that this ends with; 0 when it works. */
async function code(call) {
  try {
    await call()
    return 0
  } catch (e) {
    return number(e)
  }
}

function number(e) {
  const inner = [e.cause, ...(e.errors ?? []), ...(e.groups ?? []).map((group) => group.error)].filter(Boolean)
  return e.code ?? inner.map(number).find((found) => found !== -1) ?? -1
}

module.exports = { BASE, Suite, code, eventually, sleep }

// One producer, one group consumer or one administrator of kafkajs, told by one JSON argument.
'use strict'

const { Kafka, logLevel } = require('kafkajs')
const { setTimeout: sleep } = require('node:timers/promises')
const readline = require('node:readline')

const spec = JSON.parse(process.argv[2])
let stopped = false

/** Prints one line of the protocol, stamped with the wall clock in nanoseconds. */
function emit(ev, fields = {}) {
  process.stdout.write(JSON.stringify({ t: Math.round((performance.timeOrigin + performance.now()) * 1e6), ev, ...fields }) + '\n')
}

function error(e, fatal) {
  emit('err', { fatal, msg: `${e.name}: ${e.message}` })
}

const input = readline.createInterface({ input: process.stdin })
input.on('line', (line) => { stopped ||= line.trim() === 'stop' })
input.on('close', () => { stopped = true })

const kafka = new Kafka({
  clientId: spec.client,
  brokers: spec.bootstrap.split(','),
  logLevel: logLevel.INFO,
  logCreator: () => ({ log }) => process.stderr.write(JSON.stringify(log) + '\n'),
})

async function produce() {
  const idempotent = spec.settings['enable.idempotence'] === 'true'
  const producer = kafka.producer({ allowAutoTopicCreation: false, ...(idempotent && { idempotent, maxInFlightRequests: 1 }) })
  await producer.connect()
  const sending = new Set()
  const begun = performance.now()
  for (let seq = 0; !stopped; seq++) {
    const partition = seq % spec.partitions
    const one = producer
      .send({ topic: spec.topic, acks: -1, messages: [{ partition, value: `${spec.client}-${seq}` }] })
      .then(([{ baseOffset }]) => emit('ack', { p: partition, o: Number(baseOffset ?? -1), seq }))
      .catch((e) => error(e, false))
      .finally(() => sending.delete(one))
    sending.add(one)
    await sleep(Math.max(0, begun + ((seq + 1) * 1000) / spec.rate - performance.now()))
  }
  await Promise.race([Promise.all(sending), sleep(spec.flush_ms)])
}

async function consume() {
  const consumer = kafka.consumer({ groupId: spec.group, allowAutoTopicCreation: false })
  consumer.on(consumer.events.CRASH, ({ payload }) => error(payload.error, !payload.restart))
  await consumer.connect()
  await consumer.subscribe({ topics: [spec.topic], fromBeginning: true })
  await consumer.run({
    eachMessage: async ({ partition, message }) => {
      emit('rec', { p: partition, o: Number(message.offset), v: message.value.toString() })
    },
  })
  while (!stopped) await sleep(50)
  await Promise.race([consumer.disconnect(), sleep(spec.flush_ms)])
}

/** Makes topics one after the other. */
async function administer() {
  const admin = kafka.admin()
  await admin.connect()
  for (let seq = 0; !stopped; seq++) {
    try {
      const topics = [{ topic: `${spec.topic}-${seq}`, numPartitions: 1, replicationFactor: 1 }]
      // One that exists already is no error to this library.
      const made = await admin.createTopics({ waitForLeaders: false, topics })
      if (made) emit('ack', { p: 0, o: -1, seq })
      else emit('err', { fatal: false, msg: 'it exists' })
    } catch (e) {
      error(e, false)
    }
    await sleep(1000 / spec.rate)
  }
  await Promise.race([admin.disconnect(), sleep(spec.flush_ms)])
}

({ produce, consume, administer })[spec.mode]()
  .catch((e) => error(e, true))
  .finally(() => { emit('done'); process.exitCode = 0; setImmediate(() => process.exit()) })

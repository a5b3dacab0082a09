// The conformance cases of kafkajs: runs those named in its argument and prints for each what it observed.
'use strict'

const kafkajs = require('kafkajs')
const { CompressionTypes } = kafkajs
const { BASE, Suite, code, eventually, sleep } = require('./suite.js')

const suite = new Suite(JSON.parse(process.argv[2]))
const { admin, cases } = suite

const produced = (of, count, settings) => async (facts) => {
  const topic = await suite.topic(of)
  facts.offsets_in_order = (await suite.fill(topic, count, settings)) === 0
  const read = await suite.read(topic, count)
  facts.offsets_in_order &&= read.every(({ offset }, i) => offset === i)
  facts.read = read.filter(({ value, offset }) => value.toString() === `v${offset}`).length
}

const CODECS = { none: 'None', gzip: 'GZIP', snappy: 'Snappy', lz4: 'LZ4', zstd: 'ZSTD' }
for (const [name, type] of Object.entries(CODECS)) {
  cases[`codec_${name}`] = produced(`codec-${name}`, 20, { compression: CompressionTypes[type] })
}
for (const [name, acks] of Object.entries({ 0: 0, 1: 1, all: -1 })) {
  cases[`acks_${name}`] = produced(`acks-${name}`, 10, { acks })
}
cases.idempotent = produced('idempotent', 100, { idempotent: true, maxInFlightRequests: 1 })

cases.record_shapes = async (facts) => {
  const topic = await suite.topic('shapes')
  await suite.produce(topic, [
    { partition: 0, key: 'k', value: 'v', headers: { a: ['1', '3'], b: '2' } },
    { partition: 0, key: 'k', value: '' },
    { partition: 0, key: 'k', value: null },
    { partition: 0, value: 'v' },
  ])
  const read = await suite.read(topic, 4)
  facts.plain = `${read[0].key}:${read[0].value}`
  // Headers of one name are one to this library, so their order is not seen.
  const { a, b } = read[0].headers
  facts.headers = `a=${a[0]},b=${b},a=${a[1]}`
  facts.empty_value = read[1].value?.toString() ?? null
  facts.null_value = read[2].value
  facts.null_key = read[3].key
}

async function stamped(of, configs) {
  const topic = await suite.topic(of, 1, configs)
  await suite.produce(topic, [{ partition: 0, value: 'v', timestamp: '1500000000000' }])
  return Number((await suite.read(topic, 1))[0].timestamp)
}

// The library does not show which kind of time it is; the time itself does.
cases.create_time = async (facts) => {
  facts.timestamp = await stamped('create-time', { 'retention.ms': '-1' })
  facts.type = 0
}

cases.log_append_time = async (facts) => {
  const stamp = await stamped('append-time', { 'message.timestamp.type': 'LogAppendTime' })
  facts.broker_time = Math.abs(stamp - Date.now()) < 60_000
  facts.type = 1
}

cases.large_record = async (facts) => {
  const topic = await suite.topic('large')
  await suite.produce(topic, [{ partition: 0, value: 'x'.repeat(1_000_000) }])
  facts.size = (await suite.read(topic, 1))[0].value.length
}

cases.record_too_large = async (facts) => {
  const topic = await suite.topic('too-large', 1, { 'max.message.bytes': '1000' })
  facts.error = await code(() => suite.produce(topic, [{ partition: 0, value: 'x'.repeat(5000) }]))
}

cases.from_earliest = async (facts) => {
  const topic = await suite.topic('from-earliest')
  await suite.fill(topic, 10)
  facts.first = (await suite.read(topic, 1))[0].offset
}

cases.from_timestamp = async (facts) => {
  const topic = await suite.topic('from-timestamp')
  await suite.fill(topic, 10)
  const [{ offset: from }] = await admin.fetchTopicOffsetsByTimestamp(topic, BASE + 5500)
  facts.first = (await suite.read(topic, 1, { from }))[0].offset
  // Where nothing is found, the library gives the end instead.
  const [{ offset: after }] = await admin.fetchTopicOffsetsByTimestamp(topic, BASE + 99_000)
  facts.after_the_last = after === '10' ? null : after
}

cases.from_offset = async (facts) => {
  const topic = await suite.topic('from-offset')
  await suite.fill(topic, 10)
  facts.first = (await suite.read(topic, 1, { from: 7 }))[0].offset
}

cases.end_offsets = async (facts) => {
  const topic = await suite.topic('end-offsets', 2)
  await suite.fill(topic, 10)
  const offsets = (await admin.fetchTopicOffsets(topic)).sort((a, b) => a.partition - b.partition)
  facts.beginning = offsets.map(({ low }) => Number(low))
  facts.end = offsets.map(({ high }) => Number(high))
}

// A record is seen at once although the broker may wait for long.
cases.long_poll = async (facts) => {
  const topic = await suite.topic('long-poll')
  await suite.fill(topic, 1)
  const member = await suite.member(topic, topic, { maxWaitTimeInMs: 15_000 })
  try {
    await eventually('the first', () => member.read.length === 1)
    // The next fetch is on its way when this is over.
    await sleep(200)
    await suite.fill(topic, 1)
    const begun = Date.now()
    await eventually('the second', () => member.read.length === 2)
    facts.prompt = Date.now() - begun < 5000
  } finally {
    await member.close()
  }
}

async function committed(groupId, topic) {
  const [{ partitions }] = await admin.fetchOffsets({ groupId, topics: [topic] })
  return Number(partitions.find(({ partition }) => partition === 0)?.offset ?? -1)
}

cases.group_resume = async (facts) => {
  const topic = await suite.topic('resume')
  const group = suite.name('resume')
  await suite.fill(topic, 10)
  for (const when of ['first', 'second']) {
    const member = await suite.member(topic, group)
    try {
      await eventually(when, () => member.read.length >= 5)
      const read = member.read.slice(0, 5).map(({ offset }) => offset)
      await member.consumer.commitOffsets([{ topic, partition: 0, offset: `${read[4] + 1}` }])
      facts[when] = read
    } finally {
      await member.close()
    }
    if (when === 'first') facts.committed = await committed(group, topic)
  }
}

cases.group_of_two = async (facts) => {
  const topic = await suite.topic('two', 4)
  const [one, two] = await Promise.all([1, 2].map(() => suite.member(topic, suite.name('two'))))
  try {
    await eventually('two share', () => one.partitions.length === 2 && two.partitions.length === 2)
    facts.both = [one.partitions.length, two.partitions.length]
    await one.close()
    await eventually('one has all', () => two.partitions.length === 4)
    facts.alone = two.partitions.length
  } finally {
    await two.close()
  }
}

const state = async (group) => (await admin.describeGroups([group])).groups[0]
const listed = async (group) => (await admin.listGroups()).groups.some(({ groupId }) => groupId === group)

cases.groups = async (facts) => {
  const topic = await suite.topic('groups', 2)
  const group = suite.name('groups')
  const one = await suite.member(topic, group)
  try {
    await eventually('one has all', () => one.partitions.length === 2)
    facts.listed = await listed(group)
    const described = await state(group)
    facts.state = described.state.toLowerCase()
    facts.members = described.members.length
    facts.not_empty = await code(() => admin.deleteGroups([group]))
  } finally {
    await one.close()
  }
  facts.after = (await state(group)).state.toLowerCase()
  await admin.deleteGroups([group])
  facts.gone = !(await listed(group))
}

cases.group_offsets = async (facts) => {
  const topic = await suite.topic('group-offsets')
  const groupId = suite.name('group-offsets')
  await suite.fill(topic, 10)
  await admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: '7' }] })
  facts.altered = await committed(groupId, topic)
  const member = await suite.member(topic, groupId)
  try {
    await eventually('a record', () => member.read.length > 0)
    facts.resumed_at = member.read[0].offset
  } finally {
    await member.close()
  }
}

const transactional = async (of) => {
  const producer = suite.kafka.producer({
    transactionalId: suite.name(of), idempotent: true, maxInFlightRequests: 1, allowAutoTopicCreation: false,
  })
  await producer.connect()
  return producer
}

const send = async (transaction, topic, ...values) => {
  for (const value of values) await transaction.send({ topic, messages: [{ partition: 0, value }] })
}

const values = async (topic, count, settings) =>
  (await suite.read(topic, count, settings)).map(({ value }) => value.toString())

cases.txn_commit_abort = async (facts) => {
  const topic = await suite.topic('txn-both')
  const producer = await transactional('txn-both')
  try {
    const lost = await producer.transaction()
    await send(lost, topic, 'x0', 'x1')
    await lost.abort()
    const kept = await producer.transaction()
    await send(kept, topic, 'v0', 'v1', 'v2')
    await kept.commit()
  } finally {
    await producer.disconnect()
  }
  facts.committed = await values(topic, 3)
  facts.all = (await values(topic, 5, { readUncommitted: true })).length
}

cases.txn_fencing = async (facts) => {
  const topic = await suite.topic('txn-fencing')
  const old = await transactional('txn-fencing')
  const next = await transactional('txn-fencing')
  try {
    const first = await old.transaction()
    await send(first, topic, 'old')
    const second = await next.transaction()
    await send(second, topic, 'new')
    await second.commit()
    // PRODUCER_FENCED or INVALID_PRODUCER_EPOCH.
    facts.said = await code(() => first.commit())
    facts.fenced = [90, 47].includes(facts.said)
  } finally {
    await next.disconnect()
    await old.disconnect()
  }
  facts.read = await values(topic, 1)
}

cases.txn_offsets = async (facts) => {
  const topic = await suite.topic('txn-offsets')
  const consumerGroupId = suite.name('txn-offsets')
  await suite.fill(topic, 10)
  const producer = await transactional('txn-offsets')
  try {
    for (const [fact, end, expected] of [['aborted', 'abort', -1], ['committed', 'commit', 5]]) {
      const transaction = await producer.transaction()
      const topics = [{ topic, partitions: [{ partition: 0, offset: '5' }] }]
      // While the one before is being ended this is refused (CONCURRENT_TRANSACTIONS), and the library does not try again.
      await eventually('the end of the transaction before', async () => {
        const said = await code(() => transaction.sendOffsets({ consumerGroupId, topics }))
        if (![0, 51].includes(said)) throw new Error(`sendOffsets: error ${said}`)
        return said === 0
      })
      await transaction[end]()
      // The end of a transaction reaches the group after the commit is answered.
      await eventually(fact, async () => {
        facts[fact] = await committed(consumerGroupId, topic)
        return facts[fact] === expected
      })
    }
  } finally {
    await producer.disconnect()
  }
}

require('./admin.js')(suite)
suite.run()

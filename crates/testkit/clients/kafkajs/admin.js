// The cases of kafkajs' admin client.
'use strict'

const {
  AclOperationTypes, AclPermissionTypes, AclResourceTypes, ConfigResourceTypes, ResourcePatternTypes,
} = require('kafkajs')
const { code, eventually } = require('./suite.js')

module.exports = (suite) => {
  const { admin, cases } = suite

  const partitions = async (topic) => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions

  cases.topic_lifecycle = async (facts) => {
    const topic = await suite.topic('lifecycle', 3)
    await eventually('three partitions', async () => (await partitions(topic)).length === 3)
    const made = await partitions(topic)
    facts.partitions = made.length
    facts.replicas = made[0].replicas.length
    facts.again = await code(() => suite.topic('lifecycle'))
    await admin.deleteTopics({ topics: [topic] })
    await eventually('deleted', async () => {
      facts.deleted = await code(() => partitions(topic))
      return facts.deleted === 3
    })
  }

  cases.create_partitions = async (facts) => {
    const topic = await suite.topic('partitions')
    const grow = (count) => admin.createPartitions({ topicPartitions: [{ topic, count }] })
    await grow(3)
    await eventually('three partitions', async () => {
      facts.partitions = (await partitions(topic)).length
      return facts.partitions === 3
    })
    facts.fewer = await code(() => grow(2))
  }

  const config = async (type, name, key) => {
    const { resources } = await admin.describeConfigs({ resources: [{ type, name, configNames: [key] }] })
    return resources[0].configEntries.find(({ configName }) => configName === key)?.configValue
  }

  /** Each broker hears of a change in its own time. */
  const settles = async (type, name, key, expected) => {
    let found
    await eventually(`${key} of ${name}`, async () => {
      found = await config(type, name, key)
      return found === expected
    })
    return found
  }

  const alter = (type, name, configEntries) =>
    admin.alterConfigs({ validateOnly: false, resources: [{ type, name, configEntries }] })

  cases.topic_configs = async (facts) => {
    const topic = await suite.topic('configs')
    const { TOPIC } = ConfigResourceTypes
    const set = (value) => alter(TOPIC, topic, [{ name: 'retention.ms', value }])
    facts.retention_before = await settles(TOPIC, topic, 'retention.ms', '604800000')
    await set('1234567')
    facts.retention_after = await settles(TOPIC, topic, 'retention.ms', '1234567')
    facts.refused = await code(() => set('soon'))
  }

  const nodes = async () => (await admin.describeCluster()).brokers.map(({ nodeId }) => nodeId).sort((a, b) => a - b)

  cases.broker_config = async (facts) => {
    const [first] = await nodes()
    for (const key of ['auto.create.topics.enable', 'min.insync.replicas']) {
      facts[key] = await config(ConfigResourceTypes.BROKER, `${first}`, key)
    }
  }

  cases.describe_cluster = async (facts) => {
    const { controller } = await admin.describeCluster()
    const ids = await nodes()
    facts.brokers = ids.length
    facts.controller_is_a_broker = ids.includes(controller)
  }

  cases.delete_records = async (facts) => {
    const topic = await suite.topic('delete-records')
    await suite.fill(topic, 5)
    // It takes the leader from what it was told before.
    const one = suite.kafka.admin()
    await one.connect()
    await one.fetchTopicOffsets(topic)
    await one.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '3' }] })
    await one.disconnect()
    // The library does not show the answer's low watermark.
    const [{ low }] = await admin.fetchTopicOffsets(topic)
    facts.low = facts.beginning = Number(low)
    facts.first_read = (await suite.read(topic, 1))[0].offset
  }

  cases.unknown_topic = async (facts) => {
    facts.error = await code(() => suite.produce(suite.name('none'), [{ value: 'v' }], { retry: { retries: 0 } }))
  }

  cases.acls = async (facts) => {
    const of = {
      resourceType: AclResourceTypes.TOPIC, resourceName: suite.name('acls'), resourcePatternType: ResourcePatternTypes.LITERAL,
    }
    const entry = {
      principal: 'User:alice', host: '*', operation: AclOperationTypes.READ, permissionType: AclPermissionTypes.ALLOW,
    }
    const any = { ...of, operation: AclOperationTypes.ANY, permissionType: AclPermissionTypes.ANY }
    const seen = (name, expected) => eventually(name, async () => {
      const { resources } = await admin.describeAcls(any)
      facts[name] = resources.flatMap(({ acls }) => acls).length
      return facts[name] === expected
    })
    await admin.createAcls({ acl: [{ ...of, ...entry }] })
    await seen('created', 1)
    const { filterResponses } = await admin.deleteAcls({ filters: [any] })
    facts.deleted = filterResponses[0].matchingAcls.length
    await seen('left', 0)
  }

  // A setting of the last broker alone. What is not named goes back to its default.
  cases.broker_config_set = async (facts) => {
    const last = `${(await nodes()).at(-1)}`
    const { BROKER } = ConfigResourceTypes
    const key = 'log.cleaner.backoff.ms'
    await alter(BROKER, last, [{ name: key, value: '15001' }])
    facts.set = await settles(BROKER, last, key, '15001')
    await alter(BROKER, last, [])
    facts.deleted = await settles(BROKER, last, key, '15000')
  }

  // The same replicas in another order.
  cases.reassign = async (facts) => {
    const topic = await suite.topic('reassign')
    const replicas = async () => (await partitions(topic))[0].replicas
    const before = await replicas()
    const wanted = [before[2], before[0], before[1]]
    await admin.alterPartitionReassignments({
      topics: [{ topic, partitionAssignment: [{ partition: 0, replicas: wanted }] }],
    })
    await eventually('moved', async () => `${await replicas()}` === `${wanted}`)
    facts.moved = true
    const { topics } = await admin.listPartitionReassignments({ topics: [{ topic, partitions: [0] }] })
    facts.under_way = topics.length
  }
}

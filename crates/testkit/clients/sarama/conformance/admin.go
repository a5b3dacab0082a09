package main

import (
	"slices"
	"strconv"

	"github.com/IBM/sarama"
)

func init() {
	cases["topic_lifecycle"] = topicLifecycle
	cases["create_partitions"] = createPartitions
	cases["topic_configs"] = topicConfigs
	cases["broker_config"] = brokerConfig
	cases["describe_cluster"] = describeCluster
	cases["delete_records"] = deleteRecords
	cases["unknown_topic"] = unknownTopic
	cases["acls"] = acls
	cases["broker_config_set"] = brokerConfigSet
	cases["log_dirs"] = logDirs
	cases["delete_group_offsets"] = deleteGroupOffsets
	cases["reassign"] = reassign
	cases["elect_leaders"] = electLeaders
	cases["list_offsets"] = listOffsets
}

// describe sees what any broker has heard of a topic so far.
func (s *suite) describe(topic string) (*sarama.TopicMetadata, error) {
	described, err := s.admin.DescribeTopics([]string{topic})
	if err != nil {
		return nil, err
	}
	return described[0], nil
}

func topicLifecycle(s *suite, f facts) error {
	topic, err := s.topic("lifecycle", 3, nil)
	if err != nil {
		return err
	}
	err = eventually("three partitions", func() (bool, error) {
		described, err := s.describe(topic)
		if err != nil || len(described.Partitions) == 0 {
			return false, err
		}
		f["partitions"], f["replicas"] = len(described.Partitions), len(described.Partitions[0].Replicas)
		return f["partitions"] == 3, nil
	})
	if err != nil {
		return err
	}
	_, err = s.topic("lifecycle", 1, nil)
	f["again"] = code(err)
	if err = s.admin.DeleteTopic(topic); err != nil {
		return err
	}
	return eventually("deleted", func() (bool, error) {
		described, err := s.describe(topic)
		if err == nil {
			f["deleted"] = int(described.Err)
		}
		return f["deleted"] == 3, err
	})
}

func createPartitions(s *suite, f facts) error {
	topic, err := s.topic("partitions", 1, nil)
	if err != nil {
		return err
	}
	if err = s.admin.CreatePartitions(topic, 3, nil, false); err != nil {
		return err
	}
	err = eventually("three partitions", func() (bool, error) {
		described, err := s.describe(topic)
		if err == nil {
			f["partitions"] = len(described.Partitions)
		}
		return f["partitions"] == 3, err
	})
	f["fewer"] = code(s.admin.CreatePartitions(topic, 2, nil, false))
	return err
}

// config is a setting; nothing where a broker does not know the topic yet.
func (s *suite) config(kind sarama.ConfigResourceType, name, key string) (string, error) {
	resource := &sarama.ConfigResource{Type: kind, Name: name}
	described, err := s.admin.DescribeConfigs([]*sarama.ConfigResource{resource}, sarama.DescribeConfigsOptions{})
	if err != nil {
		return "", err
	}
	for _, one := range described[0].Configs {
		if one.Name == key {
			return one.Value, nil
		}
	}
	return "", nil
}

func (s *suite) set(kind sarama.ConfigResourceType, name, key string, value *string) error {
	op := sarama.IncrementalAlterConfigsOperationSet
	if value == nil {
		op = sarama.IncrementalAlterConfigsOperationDelete
	}
	entries := map[string]sarama.IncrementalAlterConfigsEntry{key: {Operation: op, Value: value}}
	return s.admin.IncrementalAlterConfig(kind, name, entries, false)
}

// settles sees each broker hear of a change in its own time.
func (s *suite) settles(kind sarama.ConfigResourceType, name, key, expected string) (string, error) {
	var found string
	err := eventually(key, func() (bool, error) {
		var err error
		found, err = s.config(kind, name, key)
		return found == expected, err
	})
	return found, err
}

func topicConfigs(s *suite, f facts) error {
	topic, err := s.topic("configs", 1, nil)
	if err != nil {
		return err
	}
	if f["retention_before"], err = s.settles(sarama.TopicResource, topic, "retention.ms", "604800000"); err != nil {
		return err
	}
	if err = s.set(sarama.TopicResource, topic, "retention.ms", ptr("1234567")); err != nil {
		return err
	}
	f["retention_after"], err = s.settles(sarama.TopicResource, topic, "retention.ms", "1234567")
	f["refused"] = code(s.set(sarama.TopicResource, topic, "retention.ms", ptr("soon")))
	return err
}

// brokers are the node ids, sorted.
func (s *suite) brokers() ([]int32, int32, error) {
	described, controller, err := s.admin.DescribeCluster()
	var ids []int32
	for _, broker := range described {
		ids = append(ids, broker.ID())
	}
	slices.Sort(ids)
	return ids, controller, err
}

func brokerConfig(s *suite, f facts) error {
	ids, _, err := s.brokers()
	if err != nil {
		return err
	}
	for _, key := range []string{"auto.create.topics.enable", "min.insync.replicas"} {
		if f[key], err = s.config(sarama.BrokerResource, strconv.Itoa(int(ids[0])), key); err != nil {
			return err
		}
	}
	return nil
}

func describeCluster(s *suite, f facts) error {
	ids, controller, err := s.brokers()
	f["brokers"], f["controller_is_a_broker"] = len(ids), slices.Contains(ids, controller)
	return err
}

func deleteRecords(s *suite, f facts) error {
	topic, err := s.topic("delete-records", 1, nil)
	if err != nil {
		return err
	}
	if _, err = s.fill(topic, 5); err != nil {
		return err
	}
	if err = s.admin.DeleteRecords(topic, map[int32]int64{0: 3}); err != nil {
		return err
	}
	starts, err := s.offsets(topic, 1, sarama.OffsetOldest)
	if err != nil {
		return err
	}
	// The library does not show the answer's low watermark.
	f["low"], f["beginning"] = starts[0], starts[0]
	read, err := s.read(topic, 1, sarama.OffsetOldest)
	if err == nil {
		f["first_read"] = read[0].Offset
	}
	return err
}

func unknownTopic(s *suite, f facts) error {
	message := &sarama.ProducerMessage{Topic: s.name("none"), Value: sarama.StringEncoder("v")}
	_, err := s.produce([]*sarama.ProducerMessage{message}, func(c *sarama.Config) { c.Metadata.Retry.Max = 0 })
	f["error"] = code(err)
	return nil
}

func acls(s *suite, f facts) error {
	resource := sarama.Resource{
		ResourceType: sarama.AclResourceTopic, ResourceName: s.name("acls"), ResourcePatternType: sarama.AclPatternLiteral,
	}
	entry := &sarama.Acl{
		Principal: "User:alice", Host: "*", Operation: sarama.AclOperationRead, PermissionType: sarama.AclPermissionAllow,
	}
	if err := s.admin.CreateACLs([]*sarama.ResourceAcls{{Resource: resource, Acls: []*sarama.Acl{entry}}}); err != nil {
		return err
	}
	filter := sarama.AclFilter{
		ResourceType: sarama.AclResourceTopic, ResourceName: ptr(s.name("acls")), ResourcePatternTypeFilter: sarama.AclPatternLiteral,
		Operation: sarama.AclOperationAny, PermissionType: sarama.AclPermissionAny,
	}
	seen := func(name string, expected int) error {
		return eventually(name, func() (bool, error) {
			listed, err := s.admin.ListAcls(filter)
			found := 0
			for _, one := range listed {
				found += len(one.Acls)
			}
			f[name] = found
			return found == expected, err
		})
	}
	if err := seen("created", 1); err != nil {
		return err
	}
	deleted, err := s.admin.DeleteACL(filter, false)
	if err != nil {
		return err
	}
	f["deleted"] = len(deleted)
	return seen("left", 0)
}

// A setting of the last broker alone.
func brokerConfigSet(s *suite, f facts) error {
	ids, _, err := s.brokers()
	if err != nil {
		return err
	}
	last, key := strconv.Itoa(int(ids[len(ids)-1])), "log.cleaner.backoff.ms"
	if err = s.set(sarama.BrokerResource, last, key, ptr("15001")); err != nil {
		return err
	}
	if f["set"], err = s.settles(sarama.BrokerResource, last, key, "15001"); err != nil {
		return err
	}
	if err = s.set(sarama.BrokerResource, last, key, nil); err != nil {
		return err
	}
	f["deleted"], err = s.settles(sarama.BrokerResource, last, key, "15000")
	return err
}

func logDirs(s *suite, f facts) error {
	topic, err := s.topic("log-dirs", 2, nil)
	if err != nil {
		return err
	}
	ids, _, err := s.brokers()
	if err != nil {
		return err
	}
	// A broker may not have made its replica yet.
	return eventually("every replica", func() (bool, error) {
		described, err := s.admin.DescribeLogDirs(ids)
		replicas := 0
		for _, dirs := range described {
			for _, dir := range dirs {
				for _, of := range dir.Topics {
					if of.Topic == topic {
						replicas += len(of.Partitions)
					}
				}
			}
		}
		f["brokers"], f["replicas"] = len(described), replicas
		return replicas == 6, err
	})
}

func deleteGroupOffsets(s *suite, f facts) error {
	topic, err := s.topic("delete-offsets", 1, nil)
	if err != nil {
		return err
	}
	group := s.name("delete-offsets")
	if err = s.setOffset(topic, group, 7); err != nil {
		return err
	}
	if f["before"], err = s.committed(topic, group); err != nil {
		return err
	}
	if err = s.admin.DeleteConsumerGroupOffset(group, topic, 0); err != nil {
		return err
	}
	after, err := s.committed(topic, group)
	f["after"] = after == -1
	return err
}

func (s *suite) replicas(topic string) ([]int32, error) {
	described, err := s.describe(topic)
	if err != nil || len(described.Partitions) == 0 {
		return nil, err
	}
	return described.Partitions[0].Replicas, nil
}

// The same replicas in another order.
func reassign(s *suite, f facts) error {
	topic, err := s.topic("reassign", 1, nil)
	if err != nil {
		return err
	}
	before, err := s.replicas(topic)
	if err != nil {
		return err
	}
	wanted := []int32{before[2], before[0], before[1]}
	if err = s.admin.AlterPartitionReassignments(topic, [][]int32{wanted}); err != nil {
		return err
	}
	err = eventually("moved", func() (bool, error) {
		now, err := s.replicas(topic)
		f["moved"] = slices.Equal(now, wanted)
		return f["moved"] == true, err
	})
	if err != nil {
		return err
	}
	listed, err := s.admin.ListPartitionReassignments(topic, []int32{0})
	f["under_way"] = len(listed[topic])
	return err
}

func electLeaders(s *suite, f facts) error {
	topic, err := s.topic("elect", 1, nil)
	if err != nil {
		return err
	}
	elected, err := s.admin.ElectLeaders(sarama.PreferredElection, map[string][]int32{topic: {0}})
	if err != nil {
		return err
	}
	// The leader is the preferred one.
	f["error"] = int(elected[topic][0].ErrorCode)
	return nil
}

func listOffsets(s *suite, f facts) error {
	topic, err := s.topic("list-offsets", 2, nil)
	if err != nil {
		return err
	}
	if _, err = s.fill(topic, 4); err != nil {
		return err
	}
	if f["earliest"], err = s.offsets(topic, 2, sarama.OffsetOldest); err != nil {
		return err
	}
	f["latest"], err = s.offsets(topic, 2, sarama.OffsetNewest)
	return err
}

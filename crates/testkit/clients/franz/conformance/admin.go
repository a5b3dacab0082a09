package main

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func init() {
	cases["topic_lifecycle"] = topicLifecycle
	cases["create_partitions"] = createPartitions
	cases["topic_configs"] = topicConfigs
	cases["broker_config"] = brokerConfig
	cases["describe_cluster"] = describeCluster
	cases["delete_records"] = deleteRecords
	cases["unknown_topic"] = unknownTopic
}

func topicLifecycle(ctx context.Context, s *suite, f facts) error {
	topic, err := s.topic(ctx, "lifecycle", 3, nil)
	if err != nil {
		return err
	}
	err = eventually(ctx, func() (bool, error) {
		listed, err := s.admin.ListTopics(ctx, topic)
		f["partitions"] = len(listed[topic].Partitions)
		f["replicas"] = len(listed[topic].Partitions[0].Replicas)
		return f["partitions"] == 3, err
	})
	if err != nil {
		return err
	}
	_, err = s.topic(ctx, "lifecycle", 1, nil)
	f["again"] = code(err)
	if _, err = s.admin.DeleteTopic(ctx, topic); err != nil {
		return err
	}
	return eventually(ctx, func() (bool, error) {
		listed, err := s.admin.ListTopics(ctx, topic)
		f["deleted"] = code(listed[topic].Err)
		return f["deleted"] == 3, err
	})
}

func createPartitions(ctx context.Context, s *suite, f facts) error {
	topic, err := s.topic(ctx, "partitions", 1, nil)
	if err != nil {
		return err
	}
	if _, err = s.admin.UpdatePartitions(ctx, 3, topic); err != nil {
		return err
	}
	err = eventually(ctx, func() (bool, error) {
		listed, err := s.admin.ListTopics(ctx, topic)
		f["partitions"] = len(listed[topic].Partitions)
		return f["partitions"] == 3, err
	})
	if err != nil {
		return err
	}
	fewer, err := s.admin.UpdatePartitions(ctx, 2, topic)
	f["fewer"] = code(fewer[topic].Err)
	return err
}

func config(described kadm.ResourceConfigs, key string) string {
	for _, one := range described {
		for _, config := range one.Configs {
			if config.Key == key {
				return config.MaybeValue()
			}
		}
	}
	return ""
}

func topicConfigs(ctx context.Context, s *suite, f facts) error {
	topic, err := s.topic(ctx, "configs", 1, nil)
	if err != nil {
		return err
	}
	// A broker that has not heard of the topic yet says so.
	err = eventually(ctx, func() (bool, error) {
		before, err := s.admin.DescribeTopicConfigs(ctx, topic)
		f["retention_before"] = config(before, "retention.ms")
		return f["retention_before"] != "", err
	})
	if err != nil {
		return err
	}
	set := func(value string) (kadm.AlterConfigsResponses, error) {
		one := kadm.AlterConfig{Op: kadm.SetConfig, Name: "retention.ms", Value: ptr(value)}
		return s.admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{one}, topic)
	}
	if _, err = set("1234567"); err != nil {
		return err
	}
	err = eventually(ctx, func() (bool, error) {
		after, err := s.admin.DescribeTopicConfigs(ctx, topic)
		f["retention_after"] = config(after, "retention.ms")
		return f["retention_after"] == "1234567", err
	})
	if err != nil {
		return err
	}
	refused, err := set("soon")
	if len(refused) == 1 {
		f["refused"] = code(refused[0].Err)
	}
	return err
}

func brokerConfig(ctx context.Context, s *suite, f facts) error {
	brokers, err := s.admin.ListBrokers(ctx)
	if err != nil {
		return err
	}
	described, err := s.admin.DescribeBrokerConfigs(ctx, brokers[0].NodeID)
	for _, key := range []string{"auto.create.topics.enable", "min.insync.replicas"} {
		f[key] = config(described, key)
	}
	return err
}

func describeCluster(ctx context.Context, s *suite, f facts) error {
	metadata, err := s.admin.BrokerMetadata(ctx)
	f["brokers"] = len(metadata.Brokers)
	f["controller_is_a_broker"] = slices.Contains(metadata.Brokers.NodeIDs(), metadata.Controller)
	return err
}

func deleteRecords(ctx context.Context, s *suite, f facts) error {
	topic, err := s.topic(ctx, "delete-records", 1, nil)
	if err != nil {
		return err
	}
	if _, err = s.fill(ctx, topic, 5); err != nil {
		return err
	}
	before := kadm.Offsets{}
	before.AddOffset(topic, 0, 3, -1)
	deleted, err := s.admin.DeleteRecords(ctx, before)
	if err != nil {
		return err
	}
	of, _ := deleted.Lookup(topic, 0)
	f["low"] = of.LowWatermark
	starts, err := s.admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return err
	}
	start, _ := starts.Lookup(topic, 0)
	f["beginning"] = start.Offset
	read, err := s.read(ctx, topic, 1, kgo.NewOffset().AtStart())
	if err == nil {
		f["first_read"] = read[0].Offset
	}
	return err
}

func unknownTopic(ctx context.Context, s *suite, f facts) error {
	client, err := s.client(kgo.UnknownTopicRetries(0))
	if err != nil {
		return err
	}
	defer client.Close()
	produced := client.ProduceSync(ctx, &kgo.Record{Topic: s.name("none"), Value: []byte("v")})
	f["error"] = code(produced.FirstErr())
	return nil
}

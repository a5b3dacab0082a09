package main

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func init() {
	cases["kip848_of_two"] = kip848OfTwo
	cases["share_group"] = shareGroup
	cases["acls"] = acls
	cases["broker_config_set"] = brokerConfigSet
	cases["log_dirs"] = logDirs
	cases["delete_group_offsets"] = deleteGroupOffsets
}

func kip848OfTwo(ctx context.Context, s *suite, f facts) error {
	topic, err := s.topic(ctx, "kip848-two", 4, nil)
	if err != nil {
		return err
	}
	join := func() (*member, error) {
		return s.member(topic, s.name("kip848-two"), kgo.ServerSideBalancer(), kgo.Balancers(kgo.RangeBalancer()))
	}
	one, err := join()
	if err != nil {
		return err
	}
	two, err := join()
	if err != nil {
		return err
	}
	defer two.close()
	err = share(ctx, []*member{one, two}, 2, 2)
	f["both"] = []int{len(one.partitions()), len(two.partitions())}
	one.close()
	if err == nil {
		err = share(ctx, []*member{two}, 4)
	}
	f["alone"] = len(two.partitions())
	return err
}

func shareGroup(ctx context.Context, s *suite, f facts) error {
	topic, err := s.topic(ctx, "share", 2, nil)
	if err != nil {
		return err
	}
	if _, err = s.fill(ctx, topic, 10); err != nil {
		return err
	}
	if _, err = s.produce(ctx, []*kgo.Record{{Topic: topic, Partition: 1, Value: []byte("other")}}); err != nil {
		return err
	}
	group := s.name("share")
	if err = s.earliest(ctx, group); err != nil {
		return err
	}
	client, err := s.client(kgo.ConsumeTopics(topic), kgo.ShareGroup(group))
	if err != nil {
		return err
	}
	values := map[string]bool{}
	for len(values) < 11 {
		fetches := client.PollFetches(ctx)
		if err = fetches.Err(); err != nil {
			break
		}
		fetches.EachRecord(func(r *kgo.Record) { values[string(r.Value)] = true; r.Ack(kgo.AckAccept) })
	}
	client.Close()
	f["read"] = len(values)
	if err != nil {
		return err
	}
	described, err := s.admin.DescribeShareGroups(ctx, group)
	if err == nil {
		f["state"] = described[group].GroupState
	}
	return err
}

func acls(ctx context.Context, s *suite, f facts) error {
	builder := func() *kadm.ACLBuilder {
		return kadm.NewACLs().Topics(s.name("acls")).Allow("User:alice").AllowHosts("*").
			Operations(kadm.OpRead).ResourcePatternType(kadm.ACLPatternLiteral)
	}
	created, err := s.admin.CreateACLs(ctx, builder())
	if err != nil {
		return err
	}
	for _, one := range created {
		if one.Err != nil {
			return one.Err
		}
	}
	seen := func(name string, expected int) error {
		return eventually(ctx, func() (bool, error) {
			described, err := s.admin.DescribeACLs(ctx, builder())
			found := 0
			for _, one := range described {
				found += len(one.Described)
			}
			f[name] = found
			return found == expected, err
		})
	}
	if err = seen("created", 1); err != nil {
		return err
	}
	deleted, err := s.admin.DeleteACLs(ctx, builder())
	if err != nil {
		return err
	}
	count := 0
	for _, one := range deleted {
		count += len(one.Deleted)
	}
	f["deleted"] = count
	return seen("left", 0)
}

// A setting of the last broker alone.
func brokerConfigSet(ctx context.Context, s *suite, f facts) error {
	brokers, err := s.admin.ListBrokers(ctx)
	if err != nil {
		return err
	}
	last := brokers.NodeIDs()[len(brokers)-1]
	alter := func(name string, op kadm.IncrementalOp, expected string) error {
		one := kadm.AlterConfig{Op: op, Name: "log.cleaner.backoff.ms", Value: ptr(expected)}
		altered, err := s.admin.AlterBrokerConfigs(ctx, []kadm.AlterConfig{one}, last)
		if err == nil {
			err = altered[0].Err
		}
		if err != nil {
			return err
		}
		return eventually(ctx, func() (bool, error) {
			described, err := s.admin.DescribeBrokerConfigs(ctx, last)
			f[name] = config(described, "log.cleaner.backoff.ms")
			return f[name] == expected, err
		})
	}
	if err = alter("set", kadm.SetConfig, "15001"); err != nil {
		return err
	}
	return alter("deleted", kadm.DeleteConfig, "15000")
}

func logDirs(ctx context.Context, s *suite, f facts) error {
	topic, err := s.topic(ctx, "log-dirs", 2, nil)
	if err != nil {
		return err
	}
	// A broker may not have made its replica yet.
	return eventually(ctx, func() (bool, error) {
		described, err := s.admin.DescribeAllLogDirs(ctx, nil)
		if err != nil {
			return false, err
		}
		replicas := 0
		described.Each(func(dir kadm.DescribedLogDir) {
			dir.Topics.Each(func(p kadm.DescribedLogDirPartition) {
				if p.Topic == topic {
					replicas++
				}
			})
		})
		f["brokers"], f["replicas"] = len(described), replicas
		return replicas == 6, nil
	})
}

func deleteGroupOffsets(ctx context.Context, s *suite, f facts) error {
	topic, err := s.topic(ctx, "delete-offsets", 1, nil)
	if err != nil {
		return err
	}
	group := s.name("delete-offsets")
	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, 0, 7, -1)
	if err = s.admin.CommitAllOffsets(ctx, group, offsets); err != nil {
		return err
	}
	committed, err := s.admin.FetchOffsets(ctx, group)
	if err != nil {
		return err
	}
	before, _ := committed.Lookup(topic, 0)
	f["before"] = before.At
	if _, err = s.admin.DeleteOffsets(ctx, group, kadm.TopicsSet{topic: {0: {}}}); err != nil {
		return err
	}
	committed, err = s.admin.FetchOffsets(ctx, group)
	_, found := committed.Lookup(topic, 0)
	f["after"] = !found
	return err
}

// earliest lets a share group begin at the first record, for which the administrator has no call.
func (s *suite) earliest(ctx context.Context, group string) error {
	config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	config.Name, config.Value = "share.auto.offset.reset", ptr("earliest")
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeGroupConfig, group
	resource.Configs = append(resource.Configs, config)
	request := kmsg.NewPtrIncrementalAlterConfigsRequest()
	request.Resources = append(request.Resources, resource)
	response, err := request.RequestWith(ctx, s.kgo)
	if err == nil {
		err = kerr.ErrorForCode(response.Resources[0].ErrorCode)
	}
	return err
}

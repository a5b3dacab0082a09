package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func init() {
	cases["group_resume"] = groupResume
	cases["group_of_two"] = groupOfTwo
	cases["static_membership"] = staticMembership
	cases["cooperative"] = cooperative
	cases["groups"] = groups
	cases["group_offsets"] = groupOffsets
}

// member is a member of a group that keeps polling.
type member struct {
	client   *kgo.Client
	stop     context.CancelFunc
	done     sync.WaitGroup
	lock     sync.Mutex
	assigned map[int32]bool
	revoked  int
}

func (s *suite) groupOptions(topic, group string, more ...kgo.Opt) []kgo.Opt {
	return append([]kgo.Opt{
		kgo.ConsumeTopics(topic), kgo.ConsumerGroup(group), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.HeartbeatInterval(300 * time.Millisecond),
	}, more...)
}

func (s *suite) member(topic, group string, more ...kgo.Opt) (*member, error) {
	m := &member{assigned: map[int32]bool{}}
	gone := func(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
		m.lock.Lock()
		defer m.lock.Unlock()
		for _, partition := range lost[topic] {
			delete(m.assigned, partition)
			m.revoked++
		}
	}
	opts := s.groupOptions(topic, group, append([]kgo.Opt{
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, new map[string][]int32) {
			m.lock.Lock()
			defer m.lock.Unlock()
			for _, partition := range new[topic] {
				m.assigned[partition] = true
			}
		}),
		kgo.OnPartitionsRevoked(gone), kgo.OnPartitionsLost(gone),
	}, more...)...)
	client, err := s.client(opts...)
	if err != nil {
		return nil, err
	}
	m.client = client
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	m.done.Go(func() {
		for ctx.Err() == nil {
			client.PollFetches(ctx)
		}
	})
	return m, nil
}

func (m *member) partitions() []int32 {
	m.lock.Lock()
	defer m.lock.Unlock()
	return slices.Sorted(maps.Keys(m.assigned))
}

func (m *member) revocations() int {
	m.lock.Lock()
	defer m.lock.Unlock()
	return m.revoked
}

// close leaves the group, unless the member is a static one.
func (m *member) close() {
	m.stop()
	m.done.Wait()
	m.client.Close()
}

// share waits until each member has as many partitions as it should.
func share(ctx context.Context, members []*member, each ...int) error {
	return eventually(ctx, func() (bool, error) {
		for i, m := range members {
			if len(m.partitions()) != each[i] {
				return false, nil
			}
		}
		return true, nil
	})
}

func groupResume(ctx context.Context, s *suite, f facts) error {
	topic, err := s.topic(ctx, "resume", 1, nil)
	if err != nil {
		return err
	}
	if _, err = s.fill(ctx, topic, 10); err != nil {
		return err
	}
	for _, when := range []string{"first", "second"} {
		client, err := s.client(s.groupOptions(topic, s.name("resume"))...)
		if err != nil {
			return err
		}
		var offsets []int64
		for len(offsets) < 5 {
			fetches := client.PollRecords(ctx, 5-len(offsets))
			if err = fetches.Err(); err != nil {
				return err
			}
			for _, record := range fetches.Records() {
				offsets = append(offsets, record.Offset)
				if err = client.CommitRecords(ctx, record); err != nil {
					return err
				}
			}
		}
		client.Close()
		f[when] = offsets
		if when == "first" {
			committed, err := s.admin.FetchOffsets(ctx, s.name("resume"))
			if err != nil {
				return err
			}
			at, _ := committed.Lookup(topic, 0)
			f["committed"] = at.At
		}
	}
	return nil
}

func groupOfTwo(ctx context.Context, s *suite, f facts) error {
	topic, err := s.topic(ctx, "two", 4, nil)
	if err != nil {
		return err
	}
	one, err := s.member(topic, s.name("two"))
	if err != nil {
		return err
	}
	two, err := s.member(topic, s.name("two"))
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

func staticMembership(ctx context.Context, s *suite, f facts) error {
	topic, err := s.topic(ctx, "static", 4, nil)
	if err != nil {
		return err
	}
	join := func(instance string) (*member, error) {
		return s.member(topic, s.name("static"), kgo.InstanceID(instance))
	}
	other, err := join("other")
	if err != nil {
		return err
	}
	defer other.close()
	one, err := join("one")
	if err != nil {
		return err
	}
	if err = share(ctx, []*member{one, other}, 2, 2); err != nil {
		return err
	}
	before, revoked := one.partitions(), other.revocations()
	one.close()
	again, err := join("one")
	if err != nil {
		return err
	}
	defer again.close()
	err = share(ctx, []*member{again}, 2)
	f["same_partitions"] = slices.Equal(again.partitions(), before)
	f["revocations_of_the_other"] = other.revocations() - revoked
	return err
}

func cooperative(ctx context.Context, s *suite, f facts) error {
	topic, err := s.topic(ctx, "cooperative", 4, nil)
	if err != nil {
		return err
	}
	balancer := kgo.Balancers(kgo.CooperativeStickyBalancer())
	one, err := s.member(topic, s.name("cooperative"), balancer)
	if err != nil {
		return err
	}
	defer one.close()
	if err = share(ctx, []*member{one}, 4); err != nil {
		return err
	}
	two, err := s.member(topic, s.name("cooperative"), balancer)
	if err != nil {
		return err
	}
	defer two.close()
	err = share(ctx, []*member{one, two}, 2, 2)
	f["kept"], f["given_up"], f["newcomer"] = len(one.partitions()), one.revocations(), len(two.partitions())
	return err
}

func groups(ctx context.Context, s *suite, f facts) error {
	topic, err := s.topic(ctx, "groups", 2, nil)
	if err != nil {
		return err
	}
	group := s.name("groups")
	one, err := s.member(topic, group)
	if err != nil {
		return err
	}
	err = share(ctx, []*member{one}, 2)
	if err == nil {
		err = s.describeGroup(ctx, group, f)
	}
	one.close()
	if err != nil {
		return err
	}
	described, err := s.admin.DescribeGroups(ctx, group)
	if err != nil {
		return err
	}
	f["after"] = strings.ToLower(described[group].State)
	if _, err = s.admin.DeleteGroup(ctx, group); err != nil {
		return err
	}
	listed, err := s.admin.ListGroups(ctx)
	_, there := listed[group]
	f["gone"] = !there
	return err
}

func (s *suite) describeGroup(ctx context.Context, group string, f facts) error {
	listed, err := s.admin.ListGroups(ctx)
	if err != nil {
		return err
	}
	_, f["listed"] = listed[group]
	described, err := s.admin.DescribeGroups(ctx, group)
	if err != nil {
		return err
	}
	f["state"], f["members"] = strings.ToLower(described[group].State), len(described[group].Members)
	_, err = s.admin.DeleteGroup(ctx, group)
	f["not_empty"] = code(err)
	return nil
}

func groupOffsets(ctx context.Context, s *suite, f facts) error {
	topic, err := s.topic(ctx, "group-offsets", 1, nil)
	if err != nil {
		return err
	}
	if _, err = s.fill(ctx, topic, 10); err != nil {
		return err
	}
	group := s.name("group-offsets")
	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, 0, 7, -1)
	if err = s.admin.CommitAllOffsets(ctx, group, offsets); err != nil {
		return err
	}
	committed, err := s.admin.FetchOffsets(ctx, group)
	if err != nil {
		return err
	}
	at, _ := committed.Lookup(topic, 0)
	f["altered"] = at.At
	client, err := s.client(s.groupOptions(topic, group)...)
	if err != nil {
		return err
	}
	defer client.Close()
	read, err := take(ctx, client, 1)
	if err == nil {
		f["resumed_at"] = read[0].Offset
	}
	return err
}

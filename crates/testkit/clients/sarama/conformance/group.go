package main

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/IBM/sarama"
)

func init() {
	cases["group_resume"] = groupResume
	cases["group_of_two"] = groupOfTwo
	cases["static_membership"] = staticMembership
	cases["cooperative"] = cooperative
	cases["groups"] = groups
	cases["group_offsets"] = groupOffsets
}

// member is a member of a group that keeps consuming.
type member struct {
	group    sarama.ConsumerGroup
	stop     context.CancelFunc
	done     sync.WaitGroup
	lock     sync.Mutex
	assigned map[int32]bool
	revoked  int
	messages chan *sarama.ConsumerMessage
	session  sarama.ConsumerGroupSession
}

func (s *suite) member(topic, group string, settings ...setting) (*member, error) {
	joined, err := sarama.NewConsumerGroup(s.servers(), group, with(settings...))
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	m := &member{group: joined, stop: stop, assigned: map[int32]bool{}, messages: make(chan *sarama.ConsumerMessage)}
	m.done.Go(func() {
		for ctx.Err() == nil {
			if joined.Consume(ctx, []string{topic}, m) != nil {
				return
			}
		}
	})
	return m, nil
}

func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.session = session
	return nil
}

func (m *member) Cleanup(sarama.ConsumerGroupSession) error {
	return nil
}

// ConsumeClaim lasts as long as the member has the partition, with every way of rebalancing.
func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	m.claim(claim.Partition(), true)
	defer m.claim(claim.Partition(), false)
	for {
		select {
		case message, open := <-claim.Messages():
			if !open {
				return nil
			}
			select {
			case m.messages <- message:
			case <-session.Context().Done():
				return nil
			}
		case <-session.Context().Done():
			return nil
		}
	}
}

func (m *member) claim(partition int32, mine bool) {
	m.lock.Lock()
	defer m.lock.Unlock()
	if mine {
		m.assigned[partition] = true
		return
	}
	delete(m.assigned, partition)
	m.revoked++
}

func (m *member) partitions() []int32 {
	m.lock.Lock()
	defer m.lock.Unlock()
	var mine []int32
	for partition := range m.assigned {
		mine = append(mine, partition)
	}
	slices.Sort(mine)
	return mine
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
	m.group.Close()
}

// share waits until each member has as many partitions as it should.
func share(members []*member, each ...int) error {
	return eventually("shares", func() (bool, error) {
		for i, m := range members {
			if len(m.partitions()) != each[i] {
				return false, nil
			}
		}
		return true, nil
	})
}

func (s *suite) committed(topic, group string) (int64, error) {
	fetched, err := s.admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {0}})
	if err != nil {
		return -1, err
	}
	return fetched.GetBlock(topic, 0).Offset, nil
}

func groupResume(s *suite, f facts) error {
	topic, err := s.topic("resume", 1, nil)
	if err != nil {
		return err
	}
	if _, err = s.fill(topic, 10); err != nil {
		return err
	}
	for _, when := range []string{"first", "second"} {
		m, err := s.member(topic, s.name("resume"))
		if err != nil {
			return err
		}
		read, err := take(m.messages, 5)
		var offsets []int64
		for _, message := range read {
			offsets = append(offsets, message.Offset)
			m.session.MarkMessage(message, "")
		}
		if err == nil {
			m.session.Commit()
		}
		m.close()
		f[when] = offsets
		if err == nil && when == "first" {
			f["committed"], err = s.committed(topic, s.name("resume"))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func groupOfTwo(s *suite, f facts) error {
	topic, err := s.topic("two", 4, nil)
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
	err = share([]*member{one, two}, 2, 2)
	f["both"] = []int{len(one.partitions()), len(two.partitions())}
	one.close()
	if err == nil {
		err = share([]*member{two}, 4)
	}
	f["alone"] = len(two.partitions())
	return err
}

func staticMembership(s *suite, f facts) error {
	topic, err := s.topic("static", 4, nil)
	if err != nil {
		return err
	}
	join := func(instance string) (*member, error) {
		return s.member(topic, s.name("static"), func(c *sarama.Config) { c.Consumer.Group.InstanceId = instance })
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
	if err = share([]*member{one, other}, 2, 2); err != nil {
		return err
	}
	before, revoked := one.partitions(), other.revocations()
	one.close()
	again, err := join("one")
	if err != nil {
		return err
	}
	defer again.close()
	err = share([]*member{again}, 2)
	f["same_partitions"] = slices.Equal(again.partitions(), before)
	f["revocations_of_the_other"] = other.revocations() - revoked
	return err
}

func cooperative(s *suite, f facts) error {
	topic, err := s.topic("cooperative", 4, nil)
	if err != nil {
		return err
	}
	balanced := func(c *sarama.Config) {
		c.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategyCooperativeSticky()}
	}
	one, err := s.member(topic, s.name("cooperative"), balanced)
	if err != nil {
		return err
	}
	defer one.close()
	if err = share([]*member{one}, 4); err != nil {
		return err
	}
	two, err := s.member(topic, s.name("cooperative"), balanced)
	if err != nil {
		return err
	}
	defer two.close()
	err = share([]*member{one, two}, 2, 2)
	f["kept"], f["given_up"], f["newcomer"] = len(one.partitions()), one.revocations(), len(two.partitions())
	return err
}

func (s *suite) describeGroup(group string) (*sarama.GroupDescription, error) {
	described, err := s.admin.DescribeConsumerGroups([]string{group})
	if err != nil {
		return nil, err
	}
	return described[0], nil
}

func (s *suite) listed(group string) (bool, error) {
	listed, err := s.admin.ListConsumerGroups()
	_, there := listed[group]
	return there, err
}

func groups(s *suite, f facts) error {
	topic, err := s.topic("groups", 2, nil)
	if err != nil {
		return err
	}
	group := s.name("groups")
	one, err := s.member(topic, group)
	if err != nil {
		return err
	}
	if err = share([]*member{one}, 2); err == nil {
		f["listed"], err = s.listed(group)
	}
	described, failed := s.describeGroup(group)
	if err == nil && failed == nil {
		f["state"], f["members"] = strings.ToLower(described.State), len(described.Members)
		f["not_empty"] = code(s.admin.DeleteConsumerGroup(group))
	}
	one.close()
	if err != nil || failed != nil {
		return firstOf(err, failed)
	}
	if described, err = s.describeGroup(group); err != nil {
		return err
	}
	f["after"] = strings.ToLower(described.State)
	if err = s.admin.DeleteConsumerGroup(group); err != nil {
		return err
	}
	there, err := s.listed(group)
	f["gone"] = !there
	return err
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *suite) setOffset(topic, group string, offset int64) error {
	at := map[string]map[int32]sarama.OffsetAndMetadata{topic: {0: {Offset: offset, LeaderEpoch: -1}}}
	_, err := s.admin.AlterConsumerGroupOffsets(group, at, nil)
	return err
}

func groupOffsets(s *suite, f facts) error {
	topic, err := s.topic("group-offsets", 1, nil)
	if err != nil {
		return err
	}
	if _, err = s.fill(topic, 10); err != nil {
		return err
	}
	group := s.name("group-offsets")
	if err = s.setOffset(topic, group, 7); err != nil {
		return err
	}
	if f["altered"], err = s.committed(topic, group); err != nil {
		return err
	}
	m, err := s.member(topic, group)
	if err != nil {
		return err
	}
	defer m.close()
	read, err := take(m.messages, 1)
	if err == nil {
		f["resumed_at"] = read[0].Offset
	}
	return err
}

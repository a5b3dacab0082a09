package main

import (
	"errors"

	"github.com/IBM/sarama"
)

func init() {
	cases["txn_commit_abort"] = txnCommitAbort
	cases["txn_open"] = txnOpen
	cases["txn_fencing"] = txnFencing
	cases["txn_offsets"] = txnOffsets
}

func (s *suite) transactional(id string) (sarama.SyncProducer, error) {
	return sarama.NewSyncProducer(s.servers(), with(idempotent, func(c *sarama.Config) {
		c.Producer.Transaction.ID = s.name(id)
	}))
}

func send(producer sarama.SyncProducer, topic string, values ...string) error {
	for _, value := range values {
		message := &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(value)}
		if _, _, err := producer.SendMessage(message); err != nil {
			return err
		}
	}
	return nil
}

// transaction writes in a transaction and ends it.
func transaction(producer sarama.SyncProducer, end func() error, topic string, values ...string) error {
	err := producer.BeginTxn()
	if err == nil {
		err = send(producer, topic, values...)
	}
	if err == nil {
		err = end()
	}
	return err
}

func committed(c *sarama.Config) {
	c.Consumer.IsolationLevel = sarama.ReadCommitted
}

// values are the first committed ones.
func (s *suite) values(topic string, count int) ([]string, error) {
	read, err := s.read(topic, count, sarama.OffsetOldest, committed)
	var values []string
	for _, message := range read {
		values = append(values, string(message.Value))
	}
	return values, err
}

// end is that of partition 0; with ReadCommitted, the last stable offset.
func (s *suite) end(topic string, isolation sarama.IsolationLevel) (int64, error) {
	wanted := map[string]map[int32]int64{topic: {0: sarama.OffsetNewest}}
	listed, err := s.admin.ListOffsets(wanted, &sarama.ListOffsetsOptions{IsolationLevel: isolation})
	if err != nil {
		return -1, err
	}
	return listed[topic][0].Offset, nil
}

// stable sees the last stable offset come: markers are written after the commit is answered.
func (s *suite) stable(topic string, expected int64) (int64, error) {
	var found int64
	err := eventually("the last stable offset", func() (bool, error) {
		var err error
		found, err = s.end(topic, sarama.ReadCommitted)
		return found == expected, err
	})
	return found, err
}

func txnCommitAbort(s *suite, f facts) error {
	topic, err := s.topic("txn-both", 1, nil)
	if err != nil {
		return err
	}
	producer, err := s.transactional("txn-both")
	if err != nil {
		return err
	}
	defer producer.Close()
	if err = transaction(producer, producer.AbortTxn, topic, "x0", "x1"); err != nil {
		return err
	}
	if err = transaction(producer, producer.CommitTxn, topic, "v0", "v1", "v2"); err != nil {
		return err
	}
	if f["committed"], err = s.values(topic, 3); err != nil {
		return err
	}
	all, err := s.read(topic, 5, sarama.OffsetOldest)
	f["all"] = len(all)
	return err
}

func txnOpen(s *suite, f facts) error {
	topic, err := s.topic("txn-open", 1, nil)
	if err != nil {
		return err
	}
	producer, err := s.transactional("txn-open")
	if err != nil {
		return err
	}
	defer producer.Close()
	if err = transaction(producer, producer.CommitTxn, topic, "v0"); err != nil {
		return err
	}
	if err = producer.BeginTxn(); err != nil {
		return err
	}
	if err = send(producer, topic, "v1"); err != nil {
		return err
	}
	if f["stable_end"], err = s.stable(topic, 2); err != nil {
		return err
	}
	if f["end"], err = s.end(topic, sarama.ReadUncommitted); err != nil {
		return err
	}
	if err = producer.CommitTxn(); err != nil {
		return err
	}
	f["stable_after"], err = s.stable(topic, 4)
	return err
}

func txnFencing(s *suite, f facts) error {
	topic, err := s.topic("txn-fencing", 1, nil)
	if err != nil {
		return err
	}
	old, err := s.transactional("txn-fencing")
	if err != nil {
		return err
	}
	defer old.Close()
	if err = old.BeginTxn(); err != nil {
		return err
	}
	if err = send(old, topic, "old"); err != nil {
		return err
	}
	next, err := s.transactional("txn-fencing")
	if err != nil {
		return err
	}
	defer next.Close()
	if err = transaction(next, next.CommitTxn, topic, "new"); err != nil {
		return err
	}
	err = old.CommitTxn()
	f["fenced"] = errors.Is(err, sarama.ErrProducerFenced) || errors.Is(err, sarama.ErrInvalidProducerEpoch) ||
		old.TxnStatus()&sarama.ProducerTxnFlagFatalError != 0
	f["said"] = err.Error()
	f["read"], err = s.values(topic, 1)
	return err
}

func txnOffsets(s *suite, f facts) error {
	topic, err := s.topic("txn-offsets", 1, nil)
	if err != nil {
		return err
	}
	if _, err = s.fill(topic, 10); err != nil {
		return err
	}
	group := s.name("txn-offsets")
	producer, err := s.transactional("txn-offsets")
	if err != nil {
		return err
	}
	defer producer.Close()
	reader, err := s.member(topic, group)
	if err != nil {
		return err
	}
	defer reader.close()
	if _, err = take(reader.messages, 5); err != nil {
		return err
	}
	offsets := map[string][]*sarama.PartitionOffsetMetadata{topic: {{Partition: 0, Offset: 5, LeaderEpoch: -1}}}
	metadata := sarama.NewConsumerGroupMetadataFromSession(reader.session, group, nil)
	for _, one := range []struct {
		fact     string
		end      func() error
		expected int64
	}{{"aborted", producer.AbortTxn, -1}, {"committed", producer.CommitTxn, 5}} {
		if err = producer.BeginTxn(); err != nil {
			return err
		}
		if err = producer.AddOffsetsToTxnWithGroupMetadata(offsets, metadata); err != nil {
			return err
		}
		if err = one.end(); err != nil {
			return err
		}
		// The end of a transaction reaches the group after the commit is answered.
		err = eventually(one.fact, func() (bool, error) {
			found, err := s.committed(topic, group)
			f[one.fact] = found
			return found == one.expected, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

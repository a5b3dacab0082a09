package main

import (
	"context"
	"errors"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func init() {
	cases["txn_commit_abort"] = txnCommitAbort
	cases["txn_open"] = txnOpen
	cases["txn_fencing"] = txnFencing
	cases["txn_offsets"] = txnOffsets
	cases["txn_admin"] = txnAdmin
}

func (s *suite) transactional(id string) (*kgo.Client, error) {
	return s.client(kgo.TransactionalID(s.name(id)))
}

func send(ctx context.Context, client *kgo.Client, topic string, values ...string) error {
	for _, value := range values {
		record := &kgo.Record{Topic: topic, Value: []byte(value)}
		if err := client.ProduceSync(ctx, record).FirstErr(); err != nil {
			return err
		}
	}
	return nil
}

// transaction writes in a transaction and ends it.
func transaction(ctx context.Context, client *kgo.Client, end kgo.TransactionEndTry, topic string, values ...string) error {
	err := client.BeginTransaction()
	if err == nil {
		err = send(ctx, client, topic, values...)
	}
	if err == nil {
		err = client.EndTransaction(ctx, end)
	}
	return err
}

func committed() kgo.Opt {
	return kgo.FetchIsolationLevel(kgo.ReadCommitted())
}

// values are the first committed ones.
func (s *suite) values(ctx context.Context, topic string, count int) ([]string, error) {
	read, err := s.read(ctx, topic, count, kgo.NewOffset().AtStart(), committed())
	var values []string
	for _, record := range read {
		values = append(values, string(record.Value))
	}
	return values, err
}

func (s *suite) end(ctx context.Context, topic string) (int64, error) {
	ends, err := s.admin.ListEndOffsets(ctx, topic)
	at, _ := ends.Lookup(topic, 0)
	return at.Offset, err
}

// stable is the last stable offset: markers are written after the commit is answered.
func (s *suite) stable(ctx context.Context, topic string, expected int64) (int64, error) {
	err := eventually(ctx, func() (bool, error) {
		ends, err := s.admin.ListCommittedOffsets(ctx, topic)
		at, _ := ends.Lookup(topic, 0)
		return at.Offset == expected, err
	})
	return expected, err
}

func txnCommitAbort(ctx context.Context, s *suite, f facts) error {
	topic, err := s.topic(ctx, "txn-both", 1, nil)
	if err != nil {
		return err
	}
	client, err := s.transactional("txn-both")
	if err != nil {
		return err
	}
	defer client.Close()
	if err = transaction(ctx, client, kgo.TryAbort, topic, "x0", "x1"); err != nil {
		return err
	}
	if err = transaction(ctx, client, kgo.TryCommit, topic, "v0", "v1", "v2"); err != nil {
		return err
	}
	if f["committed"], err = s.values(ctx, topic, 3); err != nil {
		return err
	}
	all, err := s.read(ctx, topic, 5, kgo.NewOffset().AtStart())
	f["all"] = len(all)
	return err
}

func txnOpen(ctx context.Context, s *suite, f facts) error {
	topic, err := s.topic(ctx, "txn-open", 1, nil)
	if err != nil {
		return err
	}
	client, err := s.transactional("txn-open")
	if err != nil {
		return err
	}
	defer client.Close()
	if err = transaction(ctx, client, kgo.TryCommit, topic, "v0"); err != nil {
		return err
	}
	if err = client.BeginTransaction(); err != nil {
		return err
	}
	if err = send(ctx, client, topic, "v1"); err != nil {
		return err
	}
	if f["stable_end"], err = s.stable(ctx, topic, 2); err != nil {
		return err
	}
	if f["end"], err = s.end(ctx, topic); err != nil {
		return err
	}
	if err = client.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return err
	}
	f["stable_after"], err = s.stable(ctx, topic, 4)
	return err
}

func txnFencing(ctx context.Context, s *suite, f facts) error {
	topic, err := s.topic(ctx, "txn-fencing", 1, nil)
	if err != nil {
		return err
	}
	old, err := s.transactional("txn-fencing")
	if err != nil {
		return err
	}
	defer old.Close()
	if err = old.BeginTransaction(); err != nil {
		return err
	}
	if err = send(ctx, old, topic, "old"); err != nil {
		return err
	}
	next, err := s.transactional("txn-fencing")
	if err != nil {
		return err
	}
	defer next.Close()
	if err = transaction(ctx, next, kgo.TryCommit, topic, "new"); err != nil {
		return err
	}
	err = old.EndTransaction(ctx, kgo.TryCommit)
	f["fenced"] = errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch)
	f["read"], err = s.values(ctx, topic, 1)
	return err
}

func txnOffsets(ctx context.Context, s *suite, f facts) error {
	topic, err := s.topic(ctx, "txn-offsets", 1, nil)
	if err != nil {
		return err
	}
	if _, err = s.fill(ctx, topic, 10); err != nil {
		return err
	}
	group := s.name("txn-offsets")
	opts := append(s.groupOptions(topic, group), kgo.SeedBrokers(strings.Split(s.Bootstrap, ",")...),
		kgo.TransactionalID(s.name("txn-offsets")), kgo.RequireStableFetchOffsets())
	session, err := kgo.NewGroupTransactSession(opts...)
	if err != nil {
		return err
	}
	defer session.Close()
	for _, end := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit} {
		if err = session.Begin(); err != nil {
			return err
		}
		for read := 0; read < 5; {
			fetches := session.PollRecords(ctx, 5-read)
			if err = fetches.Err(); err != nil {
				return err
			}
			read += fetches.NumRecords()
		}
		if _, err = session.End(ctx, end); err != nil {
			return err
		}
		fact, expected := "aborted", int64(-1)
		if end == kgo.TryCommit {
			fact, expected = "committed", 5
		}
		// The end of a transaction reaches the group after the commit is answered.
		err = eventually(ctx, func() (bool, error) {
			fetched, err := s.admin.FetchOffsets(ctx, group)
			at, there := fetched.Lookup(topic, 0)
			if !there {
				at.At = -1
			}
			f[fact] = at.At
			return at.At == expected, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func txnAdmin(ctx context.Context, s *suite, f facts) error {
	topic, err := s.topic(ctx, "txn-admin", 1, nil)
	if err != nil {
		return err
	}
	client, err := s.transactional("txn-admin")
	if err != nil {
		return err
	}
	defer client.Close()
	if err = client.BeginTransaction(); err != nil {
		return err
	}
	if err = send(ctx, client, topic, "a"); err != nil {
		return err
	}
	listed, err := s.admin.ListTransactions(ctx, nil, nil)
	if err != nil {
		return err
	}
	_, f["listed"] = listed[s.name("txn-admin")]
	described, err := s.admin.DescribeTransactions(ctx, s.name("txn-admin"))
	if err != nil {
		return err
	}
	of := described[s.name("txn-admin")]
	f["state"], f["partitions"] = strings.ToLower(of.State), len(of.Topics[topic])
	var at kadm.TopicsSet
	at.Add(topic, 0)
	producers, err := s.admin.DescribeProducers(ctx, at)
	if err != nil {
		return err
	}
	for _, producer := range producers.SortedProducers() {
		f["begun_at"] = producer.CurrentTxnStartOffset
		_, err = s.admin.WriteTxnMarkers(ctx, kadm.TxnMarkers{
			ProducerID: producer.ProducerID, ProducerEpoch: int16(producer.ProducerEpoch), Commit: false,
			CoordinatorEpoch: max(producer.CoordinatorEpoch, 0), Topics: at,
		})
		if err != nil {
			return err
		}
	}
	f["stable_after"], err = s.stable(ctx, topic, 2)
	return err
}

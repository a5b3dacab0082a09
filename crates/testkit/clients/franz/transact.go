package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const commitLimit = 60 * time.Second

// transact writes transactions of one record per partition: what fails is aborted and tried again, a producer that is done for is made
// anew.
func transact(stop context.Context, s spec, opts []kgo.Opt) error {
	opts = append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID(s.Client))
	ticker := time.NewTicker(time.Second / time.Duration(max(1, s.Rate)))
	defer ticker.Stop()
	var client *kgo.Client
	var n, attempt int64
	for stop.Err() == nil {
		if client == nil {
			made, err := kgo.NewClient(opts...)
			if err != nil {
				return err
			}
			client = made
		}
		attempt++
		end, err := transaction(client, s, fmt.Sprintf("%s-%d-%d", s.Client, n, attempt))
		emit("txn", fields{"n": n, "a": attempt, "end": end})
		if err != nil {
			fail(err, true)
			client.Close()
			client = nil
		}
		if end != "aborted" {
			n++
		}
		select {
		case <-ticker.C:
		case <-stop.Done():
		}
	}
	if client != nil {
		client.Close()
	}
	return nil
}

// transaction says what became of it; with an error the client is done for.
func transaction(client *kgo.Client, s spec, name string) (string, error) {
	if err := client.BeginTransaction(); err != nil {
		return "aborted", err
	}
	limit, cancel := context.WithTimeout(context.Background(), commitLimit)
	defer cancel()
	promise := kgo.AbortingFirstErrPromise(client)
	for p := range s.Partitions {
		value := fmt.Appendf(nil, "%s-%d", name, p)
		client.Produce(limit, &kgo.Record{Topic: s.Topic, Partition: int32(p), Value: value}, promise.Promise())
	}
	commit := kgo.TransactionEndTry(promise.Err() == nil)
	err := client.EndTransaction(limit, commit)
	switch {
	case err == nil && bool(commit):
		return "committed", nil
	case err == nil:
		return "aborted", nil
	}
	emit("note", fields{"msg": fmt.Sprintf("%s: %v", name, err)})
	// Of any other error of a commit nobody knows what became of it.
	end := "unknown"
	if !bool(commit) || errors.Is(err, kerr.OperationNotAttempted) || errors.Is(err, kerr.TransactionAbortable) {
		end = "aborted"
	}
	return end, client.EndTransaction(limit, kgo.TryAbort)
}

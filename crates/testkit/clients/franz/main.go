// One producer, one group consumer or one administrator of franz-go, told by one JSON argument.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

type spec struct {
	Mode       string            `json:"mode"`
	Client     string            `json:"client"`
	Bootstrap  string            `json:"bootstrap"`
	Topic      string            `json:"topic"`
	Partitions int64             `json:"partitions"`
	Rate       int64             `json:"rate"`
	Group      string            `json:"group"`
	Settings   map[string]string `json:"settings"`
	FlushMs    int64             `json:"flush_ms"`
}

var out sync.Mutex

type fields map[string]any

// emit prints one line of the protocol, stamped with the wall clock in nanoseconds.
func emit(ev string, f fields) {
	if f == nil {
		f = fields{}
	}
	f["t"], f["ev"] = time.Now().UnixNano(), ev
	line, _ := json.Marshal(f)
	out.Lock()
	defer out.Unlock()
	os.Stdout.Write(append(line, '\n'))
}

func fail(err error, fatal bool) {
	emit("err", fields{"fatal": fatal, "msg": err.Error()})
}

// stopSignal ends with the line "stop" or with the input.
func stopSignal() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() && strings.TrimSpace(lines.Text()) != "stop" {
		}
		cancel()
	}()
	return ctx
}

func options(s spec) ([]kgo.Opt, error) {
	opts := []kgo.Opt{kgo.SeedBrokers(strings.Split(s.Bootstrap, ",")...), kgo.ClientID(s.Client)}
	for key, value := range s.Settings {
		switch key {
		case "enable.idempotence":
			if value == "false" {
				opts = append(opts, kgo.DisableIdempotentWrite())
			}
		case "linger.ms":
			linger, err := time.ParseDuration(value + "ms")
			if err != nil {
				return nil, err
			}
			opts = append(opts, kgo.ProducerLinger(linger))
		case "isolation.level":
			if value == "read_committed" {
				opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
			}
		case "transaction.timeout.ms":
			timeout, err := time.ParseDuration(value + "ms")
			if err != nil {
				return nil, err
			}
			opts = append(opts, kgo.TransactionTimeout(timeout))
		default:
			return nil, fmt.Errorf("unknown setting %q", key)
		}
	}
	return opts, nil
}

func produce(stop context.Context, s spec, opts []kgo.Opt) error {
	client, err := kgo.NewClient(append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RequiredAcks(kgo.AllISRAcks()))...)
	if err != nil {
		return err
	}
	ticker := time.NewTicker(time.Second / time.Duration(max(1, s.Rate)))
	defer ticker.Stop()
	for seq := int64(0); stop.Err() == nil; seq++ {
		record := &kgo.Record{Topic: s.Topic, Partition: int32(seq % s.Partitions), Value: fmt.Appendf(nil, "%s-%d", s.Client, seq)}
		client.TryProduce(context.Background(), record, func(r *kgo.Record, err error) {
			if err != nil {
				fail(err, errors.Is(err, kerr.InvalidProducerEpoch) || errors.Is(err, kerr.ProducerFenced))
				return
			}
			emit("ack", fields{"p": r.Partition, "o": r.Offset, "seq": seq})
		})
		select {
		case <-ticker.C:
		case <-stop.Done():
		}
	}
	limit, cancel := context.WithTimeout(context.Background(), time.Duration(s.FlushMs)*time.Millisecond)
	defer cancel()
	client.Flush(limit)
	return nil
}

func consume(stop context.Context, s spec, opts []kgo.Opt) error {
	client, err := kgo.NewClient(append(opts,
		kgo.ConsumeTopics(s.Topic), kgo.ConsumerGroup(s.Group), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		return err
	}
	for stop.Err() == nil {
		fetches := client.PollFetches(stop)
		failed := false
		fetches.EachError(func(_ string, _ int32, err error) {
			if stop.Err() == nil {
				failed = true
				fail(err, errors.Is(err, kgo.ErrClientClosed))
			}
		})
		fetches.EachRecord(func(r *kgo.Record) {
			emit("rec", fields{"p": r.Partition, "o": r.Offset, "v": string(r.Value)})
		})
		if failed {
			// Errors come back at once; an application that did not wait would only burn the machine.
			pause(stop, 100*time.Millisecond)
		}
	}
	closed := make(chan struct{})
	go func() { client.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(time.Duration(s.FlushMs) * time.Millisecond):
		emit("note", fields{"msg": "close took too long"})
	}
	return nil
}

// administer makes topics one after the other.
func administer(stop context.Context, s spec, opts []kgo.Opt) error {
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	for seq := int64(0); stop.Err() == nil; seq++ {
		limit, cancel := context.WithTimeout(context.Background(), 40*time.Second)
		made, err := admin.CreateTopic(limit, 1, 1, nil, fmt.Sprintf("%s-%d", s.Topic, seq))
		cancel()
		if err == nil {
			err = made.Err
		}
		if err != nil {
			fail(err, false)
		} else {
			emit("ack", fields{"p": 0, "o": -1, "seq": seq})
		}
		pause(stop, time.Second/time.Duration(max(1, s.Rate)))
	}
	return nil
}

func pause(stop context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-stop.Done():
	}
}

func main() {
	stop := stopSignal()
	s := spec{FlushMs: 5000}
	err := json.Unmarshal([]byte(os.Args[1]), &s)
	if err == nil {
		err = run(stop, s)
	}
	if err != nil {
		fail(err, true)
	}
	emit("done", nil)
}

func run(stop context.Context, s spec) error {
	opts, err := options(s)
	if err != nil {
		return err
	}
	switch s.Mode {
	case "produce":
		return produce(stop, s, opts)
	case "transact":
		return transact(stop, s, opts)
	case "administer":
		return administer(stop, s, opts)
	}
	return consume(stop, s, opts)
}

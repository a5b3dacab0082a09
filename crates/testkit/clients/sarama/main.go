// One producer, one group consumer or one administrator of sarama, told by one JSON argument.
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

	"github.com/IBM/sarama"
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

func config(s spec) (*sarama.Config, error) {
	c := sarama.NewConfig()
	c.ClientID = s.Client
	c.Version = sarama.MaxVersion
	c.Producer.Return.Successes = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Return.Errors = true
	for key, value := range s.Settings {
		switch key {
		case "enable.idempotence":
			if value == "true" {
				c.Producer.Idempotent = true
				c.Net.MaxOpenRequests = 1
			}
		default:
			return nil, fmt.Errorf("unknown setting %q", key)
		}
	}
	return c, nil
}

func produce(stop context.Context, s spec, c *sarama.Config) error {
	producer, err := sarama.NewAsyncProducer(strings.Split(s.Bootstrap, ","), c)
	if err != nil {
		return err
	}
	var answers sync.WaitGroup
	answers.Go(func() {
		for message := range producer.Successes() {
			emit("ack", fields{"p": message.Partition, "o": message.Offset, "seq": message.Metadata})
		}
	})
	answers.Go(func() {
		for failed := range producer.Errors() {
			fail(failed.Err, errors.Is(failed.Err, sarama.ErrProducerFenced) || errors.Is(failed.Err, sarama.ErrInvalidProducerEpoch))
		}
	})
	ticker := time.NewTicker(time.Second / time.Duration(max(1, s.Rate)))
	defer ticker.Stop()
	for seq := int64(0); stop.Err() == nil; seq++ {
		producer.Input() <- &sarama.ProducerMessage{
			Topic: s.Topic, Partition: int32(seq % s.Partitions), Metadata: seq,
			Value: sarama.StringEncoder(fmt.Sprintf("%s-%d", s.Client, seq)),
		}
		select {
		case <-ticker.C:
		case <-stop.Done():
		}
	}
	producer.AsyncClose()
	ended(s, answers.Wait)
	return nil
}

// ended waits for what closes, but not for ever.
func ended(s spec, wait func()) {
	closed := make(chan struct{})
	go func() { wait(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(time.Duration(s.FlushMs) * time.Millisecond):
		emit("note", fields{"msg": "close took too long"})
	}
}

// administer makes topics one after the other.
func administer(stop context.Context, s spec, c *sarama.Config) error {
	admin, err := sarama.NewClusterAdmin(strings.Split(s.Bootstrap, ","), c)
	if err != nil {
		return err
	}
	for seq := int64(0); stop.Err() == nil; seq++ {
		err := admin.CreateTopic(fmt.Sprintf("%s-%d", s.Topic, seq), &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false)
		if err != nil {
			fail(err, false)
		} else {
			emit("ack", fields{"p": 0, "o": -1, "seq": seq})
		}
		pause(stop, time.Second/time.Duration(max(1, s.Rate)))
	}
	ended(s, func() { admin.Close() })
	return nil
}

type reader struct{}

func (reader) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (reader) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (reader) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, open := <-claim.Messages():
			if !open {
				return nil
			}
			emit("rec", fields{"p": message.Partition, "o": message.Offset, "v": string(message.Value)})
			session.MarkMessage(message, "")
		case <-session.Context().Done():
			return nil
		}
	}
}

func consume(stop context.Context, s spec, c *sarama.Config) error {
	group, err := sarama.NewConsumerGroup(strings.Split(s.Bootstrap, ","), s.Group, c)
	if err != nil {
		return err
	}
	go func() {
		for err := range group.Errors() {
			fail(err, false)
		}
	}()
	for stop.Err() == nil {
		err := group.Consume(stop, []string{s.Topic}, reader{})
		if err != nil && stop.Err() == nil {
			fail(err, errors.Is(err, sarama.ErrClosedConsumerGroup))
			pause(stop, 100*time.Millisecond)
		}
	}
	ended(s, func() { group.Close() })
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
	c, err := config(s)
	if err != nil {
		return err
	}
	switch s.Mode {
	case "produce":
		return produce(stop, s, c)
	case "consume":
		return consume(stop, s, c)
	case "administer":
		return administer(stop, s, c)
	}
	return fmt.Errorf("no mode %q", s.Mode)
}

package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

func init() {
	for name, codec := range map[string]sarama.CompressionCodec{
		"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
		"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
	} {
		cases["codec_"+name] = produced("codec-"+name, 20, func(c *sarama.Config) { c.Producer.Compression = codec })
	}
	for name, acks := range map[string]sarama.RequiredAcks{
		"0": sarama.NoResponse, "1": sarama.WaitForLocal, "all": sarama.WaitForAll,
	} {
		cases["acks_"+name] = produced("acks-"+name, 10, func(c *sarama.Config) { c.Producer.RequiredAcks = acks })
	}
	cases["idempotent"] = produced("idempotent", 100, idempotent)
	cases["record_shapes"] = recordShapes
	cases["create_time"] = createTime
	cases["log_append_time"] = logAppendTime
	cases["large_record"] = largeRecord
	cases["record_too_large"] = recordTooLarge
	cases["from_earliest"] = fromReset("earliest", sarama.OffsetOldest)
	cases["from_latest"] = fromReset("latest", sarama.OffsetNewest)
	cases["from_timestamp"] = fromTimestamp
	cases["from_offset"] = fromOffset
	cases["end_offsets"] = endOffsets
	cases["out_of_range"] = outOfRange
	cases["long_poll"] = longPoll
}

type setting func(*sarama.Config)

func idempotent(c *sarama.Config) {
	c.Producer.Idempotent = true
	c.Net.MaxOpenRequests = 1
}

func with(settings ...setting) *sarama.Config {
	c := config()
	for _, set := range settings {
		set(c)
	}
	return c
}

// fill writes records v0, v1, … to partition 0, a second after the other, and gives their offsets.
func (s *suite) fill(topic string, count int, settings ...setting) ([]int64, error) {
	messages := make([]*sarama.ProducerMessage, count)
	for i := range messages {
		stamp := time.UnixMilli(base + int64(i+1)*1000)
		messages[i] = &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(fmt.Sprintf("v%d", i)), Timestamp: stamp}
	}
	return s.produce(messages, settings...)
}

func (s *suite) produce(messages []*sarama.ProducerMessage, settings ...setting) ([]int64, error) {
	producer, err := sarama.NewSyncProducer(s.servers(), with(settings...))
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	if err = producer.SendMessages(messages); err != nil {
		var all sarama.ProducerErrors
		if errors.As(err, &all) {
			return nil, all[0].Err
		}
		return nil, err
	}
	offsets := make([]int64, len(messages))
	for i, message := range messages {
		offsets[i] = message.Offset
	}
	return offsets, nil
}

// reader reads partition 0; what it is closed with comes last.
func (s *suite) reader(topic string, from int64, settings ...setting) (sarama.PartitionConsumer, func(), error) {
	consumer, err := sarama.NewConsumer(s.servers(), with(settings...))
	if err != nil {
		return nil, nil, err
	}
	partition, err := consumer.ConsumePartition(topic, 0, from)
	if err != nil {
		consumer.Close()
		return nil, nil, err
	}
	return partition, func() { partition.Close(); consumer.Close() }, nil
}

func (s *suite) read(topic string, count int, from int64, settings ...setting) ([]*sarama.ConsumerMessage, error) {
	reader, end, err := s.reader(topic, from, settings...)
	if err != nil {
		return nil, err
	}
	defer end()
	return take(reader.Messages(), count)
}

func take(messages <-chan *sarama.ConsumerMessage, count int) ([]*sarama.ConsumerMessage, error) {
	var read []*sarama.ConsumerMessage
	late := time.After(limit)
	for len(read) < count {
		select {
		case message, open := <-messages:
			if !open {
				return read, fmt.Errorf("closed after %d of %d", len(read), count)
			}
			read = append(read, message)
		case <-late:
			return read, fmt.Errorf("read %d of %d", len(read), count)
		}
	}
	return read, nil
}

func produced(name string, count int, settings ...setting) func(*suite, facts) error {
	return func(s *suite, f facts) error {
		topic, err := s.topic(name, 1, nil)
		if err != nil {
			return err
		}
		offsets, err := s.fill(topic, count, settings...)
		if err != nil {
			return err
		}
		inOrder := true
		for i, offset := range offsets {
			inOrder = inOrder && offset == int64(i)
		}
		f["offsets_in_order"] = inOrder
		read, err := s.read(topic, count, sarama.OffsetOldest)
		right := 0
		for _, message := range read {
			if string(message.Value) == fmt.Sprintf("v%d", message.Offset) {
				right++
			}
		}
		f["read"] = right
		return err
	}
}

// text is what JSON shows of bytes; null for none.
func text(bytes []byte) any {
	if bytes == nil {
		return nil
	}
	return string(bytes)
}

func recordShapes(s *suite, f facts) error {
	topic, err := s.topic("shapes", 1, nil)
	if err != nil {
		return err
	}
	var headers []sarama.RecordHeader
	for _, header := range [][2]string{{"a", "1"}, {"b", "2"}, {"a", "3"}} {
		headers = append(headers, sarama.RecordHeader{Key: []byte(header[0]), Value: []byte(header[1])})
	}
	key, value := sarama.StringEncoder("k"), sarama.StringEncoder("v")
	for _, message := range []*sarama.ProducerMessage{
		{Topic: topic, Key: key, Value: value, Headers: headers},
		{Topic: topic, Key: key, Value: sarama.ByteEncoder([]byte{})},
		{Topic: topic, Key: key},
		{Topic: topic, Value: value},
	} {
		if _, err = s.produce([]*sarama.ProducerMessage{message}); err != nil {
			return err
		}
	}
	read, err := s.read(topic, 4, sarama.OffsetOldest)
	if err != nil {
		return err
	}
	f["plain"] = string(read[0].Key) + ":" + string(read[0].Value)
	var parts []string
	for _, header := range read[0].Headers {
		parts = append(parts, string(header.Key)+"="+string(header.Value))
	}
	f["headers"] = strings.Join(parts, ",")
	f["empty_value"], f["null_value"], f["null_key"] = text(read[1].Value), text(read[2].Value), text(read[3].Key)
	return nil
}

func (s *suite) stamped(name string, configs map[string]*string) (time.Time, error) {
	topic, err := s.topic(name, 1, configs)
	if err != nil {
		return time.Time{}, err
	}
	message := &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder("v"), Timestamp: time.UnixMilli(1_500_000_000_000)}
	if _, err = s.produce([]*sarama.ProducerMessage{message}); err != nil {
		return time.Time{}, err
	}
	read, err := s.read(topic, 1, sarama.OffsetOldest)
	if err != nil {
		return time.Time{}, err
	}
	return read[0].Timestamp, nil
}

// The library does not show which kind of time it is; the time itself does.
func createTime(s *suite, f facts) error {
	stamp, err := s.stamped("create-time", map[string]*string{"retention.ms": ptr("-1")})
	f["timestamp"], f["type"] = stamp.UnixMilli(), 0
	return err
}

func logAppendTime(s *suite, f facts) error {
	stamp, err := s.stamped("append-time", map[string]*string{"message.timestamp.type": ptr("LogAppendTime")})
	f["broker_time"], f["type"] = time.Since(stamp).Abs() < time.Minute, 1
	return err
}

func largeRecord(s *suite, f facts) error {
	topic, err := s.topic("large", 1, nil)
	if err != nil {
		return err
	}
	large := &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(strings.Repeat("x", 1_000_000))}
	if _, err = s.produce([]*sarama.ProducerMessage{large}); err != nil {
		return err
	}
	read, err := s.read(topic, 1, sarama.OffsetOldest)
	if err == nil {
		f["size"] = len(read[0].Value)
	}
	return err
}

func recordTooLarge(s *suite, f facts) error {
	topic, err := s.topic("too-large", 1, map[string]*string{"max.message.bytes": ptr("1000")})
	if err != nil {
		return err
	}
	large := &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(strings.Repeat("x", 5000))}
	_, err = s.produce([]*sarama.ProducerMessage{large})
	f["error"] = code(err)
	return nil
}

func fromReset(name string, from int64) func(*suite, facts) error {
	return func(s *suite, f facts) error {
		topic, err := s.topic("from-"+name, 1, nil)
		if err != nil {
			return err
		}
		if _, err = s.fill(topic, 10); err != nil {
			return err
		}
		// The position is looked up here, before the next record is written.
		reader, end, err := s.reader(topic, from)
		if err != nil {
			return err
		}
		defer end()
		if _, err = s.fill(topic, 1); err != nil {
			return err
		}
		first, err := take(reader.Messages(), 1)
		if err == nil {
			f["first"] = first[0].Offset
		}
		return err
	}
}

func fromTimestamp(s *suite, f facts) error {
	topic, err := s.topic("from-timestamp", 1, nil)
	if err != nil {
		return err
	}
	if _, err = s.fill(topic, 10); err != nil {
		return err
	}
	found, err := s.offsets(topic, 1, base+5500)
	if err != nil {
		return err
	}
	read, err := s.read(topic, 1, found[0])
	if err != nil {
		return err
	}
	f["first"] = read[0].Offset
	after, err := s.offsets(topic, 1, base+99_000)
	if err == nil && after[0] >= 0 {
		f["after_the_last"] = after[0]
	}
	return err
}

func fromOffset(s *suite, f facts) error {
	topic, err := s.topic("from-offset", 1, nil)
	if err != nil {
		return err
	}
	if _, err = s.fill(topic, 10); err != nil {
		return err
	}
	read, err := s.read(topic, 1, 7)
	if err == nil {
		f["first"] = read[0].Offset
	}
	return err
}

func endOffsets(s *suite, f facts) error {
	topic, err := s.topic("end-offsets", 2, nil)
	if err != nil {
		return err
	}
	if _, err = s.fill(topic, 10); err != nil {
		return err
	}
	if f["beginning"], err = s.offsets(topic, 2, sarama.OffsetOldest); err != nil {
		return err
	}
	f["end"], err = s.offsets(topic, 2, sarama.OffsetNewest)
	return err
}

func outOfRange(s *suite, f facts) error {
	topic, err := s.topic("out-of-range", 1, nil)
	if err != nil {
		return err
	}
	if _, err = s.fill(topic, 2); err != nil {
		return err
	}
	_, err = s.read(topic, 1, 50)
	f["error"] = code(err)
	return nil
}

// A record is seen at once although the broker may wait for long.
func longPoll(s *suite, f facts) error {
	topic, err := s.topic("long-poll", 1, nil)
	if err != nil {
		return err
	}
	if _, err = s.fill(topic, 1); err != nil {
		return err
	}
	reader, end, err := s.reader(topic, sarama.OffsetOldest, func(c *sarama.Config) { c.Consumer.MaxWaitTime = 15 * time.Second })
	if err != nil {
		return err
	}
	defer end()
	if _, err = take(reader.Messages(), 1); err != nil {
		return err
	}
	// The next fetch is on its way when this is over.
	select {
	case <-reader.Messages():
	case <-time.After(200 * time.Millisecond):
	}
	if _, err = s.fill(topic, 1); err != nil {
		return err
	}
	begun := time.Now()
	_, err = take(reader.Messages(), 1)
	f["prompt"] = time.Since(begun) < 5*time.Second
	return err
}

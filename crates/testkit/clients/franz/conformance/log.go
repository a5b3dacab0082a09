package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func init() {
	for name, codec := range map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	} {
		cases["codec_"+name] = produced("codec-"+name, 20, kgo.ProducerBatchCompression(codec))
	}
	for name, acks := range map[string]kgo.Acks{"0": kgo.NoAck(), "1": kgo.LeaderAck(), "all": kgo.AllISRAcks()} {
		cases["acks_"+name] = produced("acks-"+name, 10, kgo.RequiredAcks(acks), kgo.DisableIdempotentWrite())
	}
	cases["idempotent"] = produced("idempotent", 100)
	cases["record_shapes"] = recordShapes
	cases["create_time"] = createTime
	cases["log_append_time"] = logAppendTime
	cases["large_record"] = largeRecord
	cases["record_too_large"] = recordTooLarge
	cases["from_earliest"] = fromReset("earliest", kgo.NewOffset().AtStart())
	cases["from_latest"] = fromReset("latest", kgo.NewOffset().AtEnd())
	cases["from_timestamp"] = fromTimestamp
	cases["from_offset"] = fromOffset
	cases["end_offsets"] = endOffsets
	cases["out_of_range"] = outOfRange
	cases["long_poll"] = longPoll
}

// fill writes records v0, v1, … to partition 0, a second after the other, and gives their offsets.
func (s *suite) fill(ctx context.Context, topic string, count int, opts ...kgo.Opt) ([]int64, error) {
	records := make([]*kgo.Record, count)
	for i := range records {
		stamp := time.UnixMilli(base + int64(i+1)*1000)
		records[i] = &kgo.Record{Topic: topic, Value: fmt.Appendf(nil, "v%d", i), Timestamp: stamp}
	}
	return s.produce(ctx, records, opts...)
}

func (s *suite) produce(ctx context.Context, records []*kgo.Record, opts ...kgo.Opt) ([]int64, error) {
	client, err := s.client(opts...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	var offsets []int64
	for _, result := range client.ProduceSync(ctx, records...) {
		if result.Err != nil {
			return nil, result.Err
		}
		offsets = append(offsets, result.Record.Offset)
	}
	return offsets, nil
}

func (s *suite) reader(topic string, from kgo.Offset, opts ...kgo.Opt) (*kgo.Client, error) {
	at := map[string]map[int32]kgo.Offset{topic: {0: from}}
	return s.client(append(opts, kgo.ConsumePartitions(at))...)
}

// read reads `count` records of partition 0.
func (s *suite) read(ctx context.Context, topic string, count int, from kgo.Offset, opts ...kgo.Opt) ([]*kgo.Record, error) {
	client, err := s.reader(topic, from, opts...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return take(ctx, client, count)
}

func take(ctx context.Context, client *kgo.Client, count int) ([]*kgo.Record, error) {
	var records []*kgo.Record
	for len(records) < count {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		records = append(records, fetches.Records()...)
	}
	return records, nil
}

func produced(name string, count int, opts ...kgo.Opt) func(context.Context, *suite, facts) error {
	return func(ctx context.Context, s *suite, f facts) error {
		topic, err := s.topic(ctx, name, 1, nil)
		if err != nil {
			return err
		}
		offsets, err := s.fill(ctx, topic, count, opts...)
		if err != nil {
			return err
		}
		inOrder := true
		for i, offset := range offsets {
			inOrder = inOrder && offset == int64(i)
		}
		f["offsets_in_order"] = inOrder
		read, err := s.read(ctx, topic, count, kgo.NewOffset().AtStart())
		right := 0
		for _, record := range read {
			if string(record.Value) == fmt.Sprintf("v%d", record.Offset) {
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

func recordShapes(ctx context.Context, s *suite, f facts) error {
	topic, err := s.topic(ctx, "shapes", 1, nil)
	if err != nil {
		return err
	}
	headers := []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "b", Value: []byte("2")}, {Key: "a", Value: []byte("3")}}
	_, err = s.produce(ctx, []*kgo.Record{
		{Topic: topic, Key: []byte("k"), Value: []byte("v"), Headers: headers},
		{Topic: topic, Key: []byte("k"), Value: []byte{}},
		{Topic: topic, Key: []byte("k")},
		{Topic: topic, Value: []byte("v")},
	})
	if err != nil {
		return err
	}
	read, err := s.read(ctx, topic, 4, kgo.NewOffset().AtStart())
	if err != nil {
		return err
	}
	f["plain"] = string(read[0].Key) + ":" + string(read[0].Value)
	var parts []string
	for _, header := range read[0].Headers {
		parts = append(parts, header.Key+"="+string(header.Value))
	}
	f["headers"] = strings.Join(parts, ",")
	f["empty_value"], f["null_value"], f["null_key"] = text(read[1].Value), text(read[2].Value), text(read[3].Key)
	return nil
}

func (s *suite) stamped(ctx context.Context, name string, configs map[string]*string) (*kgo.Record, error) {
	topic, err := s.topic(ctx, name, 1, configs)
	if err != nil {
		return nil, err
	}
	record := &kgo.Record{Topic: topic, Value: []byte("v"), Timestamp: time.UnixMilli(1_500_000_000_000)}
	if _, err = s.produce(ctx, []*kgo.Record{record}); err != nil {
		return nil, err
	}
	read, err := s.read(ctx, topic, 1, kgo.NewOffset().AtStart())
	if err != nil {
		return nil, err
	}
	return read[0], nil
}

func createTime(ctx context.Context, s *suite, f facts) error {
	read, err := s.stamped(ctx, "create-time", map[string]*string{"retention.ms": ptr("-1")})
	if err == nil {
		f["timestamp"], f["type"] = read.Timestamp.UnixMilli(), read.Attrs.TimestampType()
	}
	return err
}

func logAppendTime(ctx context.Context, s *suite, f facts) error {
	read, err := s.stamped(ctx, "append-time", map[string]*string{"message.timestamp.type": ptr("LogAppendTime")})
	if err == nil {
		f["broker_time"], f["type"] = time.Since(read.Timestamp).Abs() < time.Minute, read.Attrs.TimestampType()
	}
	return err
}

func largeRecord(ctx context.Context, s *suite, f facts) error {
	topic, err := s.topic(ctx, "large", 1, nil)
	if err != nil {
		return err
	}
	large := &kgo.Record{Topic: topic, Value: []byte(strings.Repeat("x", 1_000_000))}
	// The client's limit counts the whole batch.
	if _, err = s.produce(ctx, []*kgo.Record{large}, kgo.ProducerBatchMaxBytes(1_040_000)); err != nil {
		return err
	}
	read, err := s.read(ctx, topic, 1, kgo.NewOffset().AtStart())
	if err == nil {
		f["size"] = len(read[0].Value)
	}
	return err
}

func recordTooLarge(ctx context.Context, s *suite, f facts) error {
	topic, err := s.topic(ctx, "too-large", 1, map[string]*string{"max.message.bytes": ptr("1000")})
	if err != nil {
		return err
	}
	large := &kgo.Record{Topic: topic, Value: []byte(strings.Repeat("x", 5000))}
	_, err = s.produce(ctx, []*kgo.Record{large}, kgo.ProducerBatchCompression(kgo.NoCompression()))
	f["error"] = code(err)
	return nil
}

func fromReset(name string, from kgo.Offset) func(context.Context, *suite, facts) error {
	return func(ctx context.Context, s *suite, f facts) error {
		topic, err := s.topic(ctx, "from-"+name, 1, nil)
		if err != nil {
			return err
		}
		if _, err = s.fill(ctx, topic, 10); err != nil {
			return err
		}
		client, err := s.reader(topic, from)
		if err != nil {
			return err
		}
		defer client.Close()
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		first := client.PollFetches(short).Records()
		if len(first) == 0 {
			if _, err = s.fill(ctx, topic, 1); err != nil {
				return err
			}
			if first, err = take(ctx, client, 1); err != nil {
				return err
			}
		}
		f["first"] = first[0].Offset
		return nil
	}
}

func fromTimestamp(ctx context.Context, s *suite, f facts) error {
	topic, err := s.topic(ctx, "from-timestamp", 1, nil)
	if err != nil {
		return err
	}
	if _, err = s.fill(ctx, topic, 10); err != nil {
		return err
	}
	read, err := s.read(ctx, topic, 1, kgo.NewOffset().AfterMilli(base+5500))
	if err != nil {
		return err
	}
	f["first"] = read[0].Offset
	// kadm asks for the end of a partition that has nothing after the time; the timestamp shows that nothing was found.
	after, err := s.admin.ListOffsetsAfterMilli(ctx, base+99_000, topic)
	if err != nil {
		return err
	}
	if of, _ := after.Lookup(topic, 0); of.Timestamp >= 0 {
		f["after_the_last"] = of.Offset
	}
	return nil
}

func fromOffset(ctx context.Context, s *suite, f facts) error {
	topic, err := s.topic(ctx, "from-offset", 1, nil)
	if err != nil {
		return err
	}
	if _, err = s.fill(ctx, topic, 10); err != nil {
		return err
	}
	read, err := s.read(ctx, topic, 1, kgo.NewOffset().At(7))
	if err == nil {
		f["first"] = read[0].Offset
	}
	return err
}

func endOffsets(ctx context.Context, s *suite, f facts) error {
	topic, err := s.topic(ctx, "end-offsets", 2, nil)
	if err != nil {
		return err
	}
	if _, err = s.fill(ctx, topic, 10); err != nil {
		return err
	}
	for name, list := range map[string]func(context.Context, ...string) (kadm.ListedOffsets, error){
		"beginning": s.admin.ListStartOffsets, "end": s.admin.ListEndOffsets,
	} {
		listed, err := list(ctx, topic)
		if err != nil {
			return err
		}
		f[name] = []int64{listed[topic][0].Offset, listed[topic][1].Offset}
	}
	return nil
}

func outOfRange(ctx context.Context, s *suite, f facts) error {
	topic, err := s.topic(ctx, "out-of-range", 1, nil)
	if err != nil {
		return err
	}
	if _, err = s.fill(ctx, topic, 2); err != nil {
		return err
	}
	_, err = s.read(ctx, topic, 1, kgo.NewOffset().At(50), kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	f["error"] = code(err)
	return nil
}

// A record is seen at once although the broker may wait for long.
func longPoll(ctx context.Context, s *suite, f facts) error {
	topic, err := s.topic(ctx, "long-poll", 1, nil)
	if err != nil {
		return err
	}
	if _, err = s.fill(ctx, topic, 1); err != nil {
		return err
	}
	client, err := s.reader(topic, kgo.NewOffset().AtStart(), kgo.FetchMaxWait(15*time.Second))
	if err != nil {
		return err
	}
	defer client.Close()
	if _, err = take(ctx, client, 1); err != nil {
		return err
	}
	// The next fetch is on its way when this poll returns.
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	client.PollFetches(short)
	if _, err = s.fill(ctx, topic, 1); err != nil {
		return err
	}
	begun := time.Now()
	_, err = take(ctx, client, 1)
	f["prompt"] = time.Since(begun) < 5*time.Second
	return err
}

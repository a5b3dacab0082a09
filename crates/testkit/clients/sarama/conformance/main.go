// The conformance cases of sarama: runs those named in its argument and prints for each what it observed.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// Cases at once; most of their time they wait.
const workers = 4

// limit is how long a case waits for what must come: a rebalance lasts as long as the slowest member takes to notice.
const limit = 30 * time.Second

// base is the time of the records: of now, because retention removes older ones, if late.
var base = time.Now().UnixMilli() - 200_000

type facts map[string]any

// suite is what a case has: an administrator and names of its own.
type suite struct {
	Bootstrap string   `json:"bootstrap"`
	Prefix    string   `json:"prefix"`
	Cases     []string `json:"cases"`
	admin     sarama.ClusterAdmin
}

var cases = map[string]func(*suite, facts) error{}

var out sync.Mutex

func main() {
	var s suite
	err := json.Unmarshal([]byte(os.Args[1]), &s)
	if err == nil {
		s.admin, err = sarama.NewClusterAdmin(s.servers(), config())
	}
	if err != nil {
		panic(err)
	}
	names := make(chan string)
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for name := range names {
				s.run(name)
			}
		})
	}
	for _, name := range s.Cases {
		names <- name
	}
	close(names)
	running.Wait()
}

func (s *suite) run(name string) {
	seen := facts{}
	line := facts{"case": name, "ok": true, "detail": seen}
	run, known := cases[name]
	err := errors.New("no such case")
	if known {
		err = run(s, seen)
	}
	if err != nil {
		line["ok"], line["detail"] = false, fmt.Sprintf("%v after %v", err, seen)
	}
	text, _ := json.Marshal(line)
	out.Lock()
	defer out.Unlock()
	os.Stdout.Write(append(text, '\n'))
}

func (s *suite) servers() []string {
	return strings.Split(s.Bootstrap, ",")
}

// config has the newest version that the library knows: it uses what the brokers offer of it.
func config() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.MaxVersion
	c.Producer.Return.Successes = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Enable = false
	c.Consumer.Group.Heartbeat.Interval = 300 * time.Millisecond
	return c
}

func (s *suite) name(of string) string {
	return s.Prefix + "-" + of
}

// topic makes a topic, waits until its leaders serve it, and gives its full name.
func (s *suite) topic(of string, partitions int32, configs map[string]*string) (string, error) {
	name := s.name(of)
	err := s.admin.CreateTopic(name, &sarama.TopicDetail{
		NumPartitions: partitions, ReplicationFactor: 3, ConfigEntries: configs,
	}, false)
	if err != nil {
		return name, err
	}
	// Until then records of acks=0 are lost.
	return name, eventually("leaders of "+name, func() (bool, error) {
		_, err := s.offsets(name, partitions, sarama.OffsetNewest)
		return err == nil, nil
	})
}

// offsets asks for one offset of each partition, by time.
func (s *suite) offsets(topic string, partitions int32, at int64) ([]int64, error) {
	wanted := map[int32]int64{}
	for partition := range partitions {
		wanted[partition] = at
	}
	listed, err := s.admin.ListOffsets(map[string]map[int32]int64{topic: wanted}, nil)
	if err != nil {
		return nil, err
	}
	found := make([]int64, partitions)
	for partition := range partitions {
		of := listed[topic][partition]
		if of == nil || of.Err != nil && !errors.Is(of.Err, sarama.ErrNoError) {
			return nil, fmt.Errorf("partition %d: %v", partition, of)
		}
		found[partition] = of.Offset
	}
	return found, nil
}

// code is the protocol's number of an error; 0 for none, -1 for one that is not the protocol's.
func code(err error) int {
	var number sarama.KError
	var topic *sarama.TopicError
	var partition *sarama.TopicPartitionError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &topic):
		return int(topic.Err)
	case errors.As(err, &partition):
		return int(partition.Err)
	case errors.As(err, &number):
		return int(number)
	}
	return -1
}

// eventually repeats until the check holds or time is up.
func eventually(what string, check func() (bool, error)) error {
	for begun := time.Now(); ; {
		done, err := check()
		if done || err != nil {
			return err
		}
		if time.Since(begun) > limit {
			return fmt.Errorf("%s: not within %v", what, limit)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func ptr(text string) *string {
	return &text
}

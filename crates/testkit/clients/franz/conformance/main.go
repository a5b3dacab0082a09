// The conformance cases of franz-go: runs those named in its argument and prints for each what it observed.
package main

import (
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

// Cases at once; most of their time they wait.
const workers = 4

// base is the time of the records: of now, because retention removes older ones, if late.
var base = time.Now().UnixMilli() - 200_000

type facts map[string]any

// suite is what a case has: an administrator and names of its own.
type suite struct {
	Bootstrap string   `json:"bootstrap"`
	Prefix    string   `json:"prefix"`
	Cases     []string `json:"cases"`
	kgo       *kgo.Client
	admin     *kadm.Client
}

var cases = map[string]func(context.Context, *suite, facts) error{}

var out sync.Mutex

func main() {
	var s suite
	if err := json.Unmarshal([]byte(os.Args[1]), &s); err != nil {
		panic(err)
	}
	client, err := s.client()
	if err != nil {
		panic(err)
	}
	s.kgo, s.admin = client, kadm.NewClient(client)
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
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	seen := facts{}
	line := facts{"case": name, "ok": true, "detail": seen}
	run, known := cases[name]
	err := errors.New("no such case")
	if known {
		err = run(ctx, s, seen)
	}
	if err != nil {
		line["ok"], line["detail"] = false, fmt.Sprintf("%v after %v", err, seen)
	}
	text, _ := json.Marshal(line)
	out.Lock()
	defer out.Unlock()
	os.Stdout.Write(append(text, '\n'))
}

func (s *suite) client(more ...kgo.Opt) (*kgo.Client, error) {
	opts := []kgo.Opt{kgo.SeedBrokers(strings.Split(s.Bootstrap, ",")...), kgo.RecordPartitioner(kgo.ManualPartitioner())}
	return kgo.NewClient(append(opts, more...)...)
}

func (s *suite) name(of string) string {
	return s.Prefix + "-" + of
}

// topic makes a topic, waits until its leaders serve it, and gives its full name.
func (s *suite) topic(ctx context.Context, of string, partitions int32, configs map[string]*string) (string, error) {
	name := s.name(of)
	made, err := s.admin.CreateTopic(ctx, partitions, 3, configs, name)
	if err == nil {
		err = made.Err
	}
	if err != nil {
		return name, err
	}
	// Until then records of acks=0 are lost.
	return name, eventually(ctx, func() (bool, error) {
		listed, err := s.admin.ListEndOffsets(ctx, name)
		return err == nil && listed.Error() == nil && len(listed[name]) == int(partitions), nil
	})
}

// code is the protocol's number of an error; 0 for none, -1 for one that is not the protocol's.
func code(err error) int {
	var of *kerr.Error
	if errors.As(err, &of) {
		return int(of.Code)
	}
	if err != nil {
		return -1
	}
	return 0
}

// eventually repeats until the check holds or time is up.
func eventually(ctx context.Context, check func() (bool, error)) error {
	for {
		done, err := check()
		if done || err != nil {
			return err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func ptr(text string) *string {
	return &text
}

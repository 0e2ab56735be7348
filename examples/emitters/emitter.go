// Publish a backend's events to the sidecar. Copy this file; it needs `go get github.com/redis/go-redis/v9`.
//
//	emitter := NewEmitter("stream")
//	emitter.Report(map[string]any{"status": "success", "order_id": "1001", "product_id": "sku-1", "latency_ms": 42.5})
//
// Report only adds to a buffer: it never waits for Redis and never fails, so it cannot delay or fail an order. A
// goroutine publishes what is in the buffer, in order. While Redis is away, the buffer keeps the newest 10,000 events.
// Those it drops leave a hole in the numbers, which the sidecar shows as missed.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"maps"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	name         = "flash_sale:events" // of the stream, or of the channel
	bufferEvents = 10_000
	batchEvents  = 100 // published at once
	heartbeat    = 2 * time.Second
	retry        = 500 * time.Millisecond
	closeTimeout = 5 * time.Second // how long the end of the process may wait for Redis
)

// Emitter numbers events and publishes them in the background; share one between all goroutines.
type Emitter struct {
	transport, producer string
	epoch               int64
	client              *redis.Client
	wake                chan struct{}
	closing, closed     chan struct{}

	mutex        sync.Mutex
	seq, dropped int
	buffer       []string
}

// NewEmitter starts an emitter; the transport is stream or pubsub.
func NewEmitter(transport string) *Emitter {
	url := os.Getenv("REDIS_URL")
	if url == "" {
		url = "redis://127.0.0.1:6379/0"
	}
	options, err := redis.ParseURL(url)
	if err != nil {
		log.Fatal(err)
	}
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout = 2*time.Second, 2*time.Second, 2*time.Second
	host, _ := os.Hostname()
	emitter := &Emitter{
		transport: transport, producer: fmt.Sprintf("%s:%d", host, os.Getpid()), epoch: time.Now().UnixNano(),
		client: redis.NewClient(options), wake: make(chan struct{}, 1),
		closing: make(chan struct{}), closed: make(chan struct{}),
	}
	go emitter.run()
	return emitter
}

// Report numbers an event and leaves it to the goroutine.
func (e *Emitter) Report(event map[string]any) {
	e.mutex.Lock()
	e.seq++
	if text, err := e.encode(event, e.seq); err != nil {
		log.Printf("An event is no JSON, and is missed: %v", err)
	} else {
		e.buffer = append(e.buffer, text)
	}
	if len(e.buffer) > bufferEvents {
		e.buffer = e.buffer[1:]
		e.dropped++
	}
	e.mutex.Unlock()
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Close publishes what is left, if Redis is there.
func (e *Emitter) Close() {
	close(e.closing)
	select {
	case <-e.closed:
	case <-time.After(closeTimeout):
	}
}

func (e *Emitter) encode(event map[string]any, seq int) (string, error) {
	numbered := map[string]any{"ts": time.Now().UnixMilli()}
	maps.Copy(numbered, event)
	numbered["producer"], numbered["epoch"], numbered["seq"] = e.producer, e.epoch, seq
	text, err := json.Marshal(numbered)
	return string(text), err
}

// Publish what is in the buffer, and a heartbeat every few seconds, until the emitter is closed.
func (e *Emitter) run() {
	defer close(e.closed)
	last, due := 0, time.Now() // the last number published; when to send a heartbeat
	for closing := false; ; {
		e.mutex.Lock()
		count := min(len(e.buffer), batchEvents)
		batch := append([]string{}, e.buffer[:count]...)
		e.buffer = e.buffer[count:]
		left := len(e.buffer)
		taken := e.seq - left
		e.mutex.Unlock()

		done := closing && count == 0
		if done || !time.Now().Before(due) {
			beat, _ := e.encode(map[string]any{"type": "heartbeat"}, last)
			batch = append([]string{beat}, batch...)
			due = time.Now().Add(heartbeat)
		}
		if len(batch) > 0 {
			e.insist("[" + strings.Join(batch, ",") + "]")
		}
		last = taken
		if done {
			return
		}
		if left == 0 && !closing {
			select {
			case <-e.wake:
			case <-time.After(time.Until(due)):
			case <-e.closing:
				closing = true
			}
		}
	}
}

// Publish until it succeeds. What arrives twice (an answer was lost) has the same numbers, and counts once.
func (e *Emitter) insist(payload string) {
	for away := false; ; time.Sleep(retry) {
		err := e.publish(payload)
		if err == nil && away {
			e.mutex.Lock()
			log.Printf("Redis is back; %d events were dropped so far", e.dropped)
			e.mutex.Unlock()
		}
		if err == nil {
			return
		}
		if !away {
			log.Printf("Redis is away: %v", err)
		}
		away = true
	}
}

func (e *Emitter) publish(payload string) error {
	ctx := context.Background()
	if e.transport == "pubsub" {
		return e.client.Publish(ctx, name, payload).Err()
	}
	return e.client.XAdd(ctx, &redis.XAddArgs{
		Stream: name, MaxLen: 1_000_000, Approx: true, Values: []string{"e", payload},
	}).Err()
}

// As a program, an event a line: echo '{"status":"success"}' | go run emitter.go pubsub
func main() {
	transport := "stream"
	if len(os.Args) > 1 {
		transport = os.Args[1]
	}
	emitter := NewEmitter(transport)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var event map[string]any
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			log.Fatal(err)
		}
		emitter.Report(event)
	}
	emitter.Close()
}

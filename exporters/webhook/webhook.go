// SPDX-License-Identifier: Apache-2.0

// Package webhook posts incidents to an HTTP address: as signed JSON, or as a message of Slack, Feishu,
// DingTalk or WeCom:
//
//	x, err := webhook.New(webhook.Config{URL: address, Format: webhook.Feishu, Secret: secret})
//	a, err := agent.Start(agent.WithExporter("webhook", x))
//
// An agent does this with GMPULSE_WEBHOOK. The agent keeps events that could not be delivered in memory
// and delivers them with later ones. With GMPULSE_SPOOL_DIR it keeps them on disk, and a later process
// delivers what an earlier one has left. A message about an event of more than a minute ago has its time.
//
// # Limits
//
// The exporter obeys the limits of the services: 20 messages a minute for DingTalk and WeCom, 100 for
// Feishu, 60 for Slack. It stays below them, because robots are shared. Events that wait in memory are one
// message then, which describes the first five and counts the others. From disk, the events of each
// snapshot are a message.
package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/internal/onepost"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

const (
	// The time until the next attempt after a failure doubles from minWait to maxWait.
	minWait = time.Second
	maxWait = time.Minute
	// maxEvents is how many events a request of JSON has.
	maxEvents = 100
)

// Exporter posts events. Create one with [New]. Its methods are safe for concurrent use.
type Exporter struct {
	config Config

	mu   sync.Mutex
	shut bool
	sent []time.Time   // of the last minute
	err  error         // of the last attempt
	wait time.Duration // after the last failure
	next time.Time     // of the earliest next attempt
}

var _ exporters.Exporter = (*Exporter)(nil)

// New returns an Exporter, or an error that names every invalid field of c. It opens no connection.
func New(c Config) (*Exporter, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if c.Language == "" {
		c.Language = "en"
		if c.Format == Feishu || c.Format == DingTalk || c.Format == WeCom {
			c.Language = "zh"
		}
	}
	if c.PageURL == nil {
		c.PageURL = func() string { return "" }
	}
	if c.Client == nil {
		c.Client = &onepost.Client{}
	}
	return &Exporter{config: c}, nil
}

// Export posts the incidents of s. Without any it does nothing. After a failure it returns the same error
// and does nothing until the next attempt, after a second, then two, up to a minute or as the service
// says. If the service refuses a request for good, the error is an [exporters.RejectedError].
func (e *Exporter) Export(ctx context.Context, s *runtimeinfo.Snapshot) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.shut {
		return exporters.ErrShutdown
	}
	events := e.choose(s.Events)
	if len(events) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	now := time.Now()
	if now.Before(e.next) {
		return e.err
	}
	size := len(events)
	if e.config.Format == JSON {
		size = maxEvents
	}
	for len(events) > 0 {
		part := events[:min(size, len(events))]
		if err := e.deliver(ctx, s, part, now); err != nil {
			if r, ok := errors.AsType[*exporters.RejectedError](err); ok {
				r.Events = len(events)
			}
			return err
		}
		events = events[len(part):]
	}
	return nil
}

// Shutdown makes further calls of Export return [exporters.ErrShutdown].
func (e *Exporter) Shutdown(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.shut = true
	return nil
}

// choose returns the events to post.
func (e *Exporter) choose(all []runtimeinfo.Event) (events []*runtimeinfo.Event) {
	for i := range all {
		if x := &all[i]; x.Incident != nil || e.config.Level != nil && x.Severity >= *e.config.Level {
			events = append(events, x)
		}
	}
	return events
}

// deliver posts one message, if the limit of the service allows.
func (e *Exporter) deliver(ctx context.Context, s *runtimeinfo.Snapshot, events []*runtimeinfo.Event, now time.Time) error {
	if wait := e.limit(now); wait > 0 {
		e.next = now.Add(wait)
		e.err = fmt.Errorf("webhook: %s allows no more messages in this minute; the events are sent later", e.config.Format)
		return e.err
	}
	req, err := e.request(ctx, s, events, now)
	if err != nil {
		return &exporters.RejectedError{Err: err}
	}
	e.sent = append(e.sent, now)
	err = e.post(req)
	if err == nil {
		e.err, e.wait, e.next = nil, 0, time.Time{}
		return nil
	}
	if _, ok := errors.AsType[*exporters.RejectedError](err); !ok && ctx.Err() == nil {
		e.wait = min(max(2*e.wait, minWait, retryAfter(err)), maxWait)
		e.err, e.next = err, now.Add(e.wait)
	}
	return err
}

// limit returns how long to wait for the next message.
func (e *Exporter) limit(now time.Time) time.Duration {
	for len(e.sent) > 0 && now.Sub(e.sent[0]) >= time.Minute {
		e.sent = e.sent[1:]
	}
	var most int
	switch e.config.Format {
	case DingTalk, WeCom:
		most = 15 // of 20: DingTalk blocks a robot for ten minutes
	case Feishu:
		most = 60 // of 100
	case Slack:
		most = 30 // of 60
	case JSON:
		return 0
	}
	if len(e.sent) < most {
		return 0
	}
	return time.Minute - now.Sub(e.sent[0])
}

// request returns the request for some events.
func (e *Exporter) request(ctx context.Context, s *runtimeinfo.Snapshot, events []*runtimeinfo.Event, now time.Time) (*http.Request, error) {
	var body []byte
	var err error
	switch e.config.Format {
	case JSON:
		body, err = e.json(s, events)
	case DingTalk:
		body, err = encode(map[string]any{"msgtype": "text", "text": map[string]string{"content": e.text(s, events, maxText)}})
	case WeCom:
		body, err = encode(map[string]any{"msgtype": "text", "text": map[string]string{"content": e.text(s, events, maxWeCom)}})
	case Feishu:
		m := map[string]any{"msg_type": "text", "content": map[string]string{"text": plain(e.text(s, events, maxText))}}
		signFeishu(m, e.config.Secret, now)
		body, err = encode(m)
	case Slack:
		body, err = encode(map[string]any{"text": mrkdwn(e.text(s, events, maxText))})
	}
	if err != nil {
		return nil, fmt.Errorf("webhook: encode: %w", err)
	}
	req, err := onepost.NewRequest(ctx, e.config.URL, "application/json; charset=utf-8", body)
	if err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	switch {
	case e.config.Secret == "":
	case e.config.Format == JSON:
		req.Header.Set(SignatureHeader, signature(e.config.Secret, now, body))
	case e.config.Format == DingTalk:
		req.URL.RawQuery = dingTalkQuery(req.URL.Query(), e.config.Secret, now)
	}
	return req, nil
}

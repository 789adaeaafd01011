// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/internal/onepost"
)

// busyError is a failure after which the service wants to be left alone.
type busyError struct {
	error
	wait time.Duration
}

// retryAfter returns how long the service wants to be left alone.
func retryAfter(err error) time.Duration {
	if b, ok := errors.AsType[*busyError](err); ok {
		return b.wait
	}
	return 0
}

// post sends a request. The error is an [exporters.RejectedError] if the same request would fail again.
func (e *Exporter) post(req *http.Request) error {
	resp, err := e.config.Client.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok { // of an http.Client; it has the address
			err = fmt.Errorf("%s: %w", req.URL.Host, u.Err)
		}
		return fmt.Errorf("webhook: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("webhook: %s: %w", req.URL.Host, err)
	}
	err = fmt.Errorf("webhook: %s answers %s: %s", req.URL.Host, resp.Status, onepost.Excerpt(bytes.NewReader(body)))
	switch code := resp.StatusCode; {
	case code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable:
		return &busyError{err, onepost.RetryAfter(resp)}
	case code == http.StatusRequestTimeout || code == http.StatusTooEarly || code/100 == 5:
		return err
	case code/100 != 2:
		return &exporters.RejectedError{Err: err}
	}
	return e.judge(body, err)
}

// judge returns the error in the body of an answer 200, or nil. Feishu, DingTalk and WeCom answer 200 to
// requests that they refuse.
func (e *Exporter) judge(body []byte, err error) error {
	var answer struct {
		Code    *int `json:"code"`    // of Feishu
		ErrCode *int `json:"errcode"` // of DingTalk and WeCom
	}
	var code *int
	var busy []int // codes of a service that is too busy, or of a client that is too fast
	unreadable := json.Unmarshal(body, &answer) != nil
	switch e.config.Format {
	case JSON, Slack:
		return nil
	case Feishu:
		code, busy = answer.Code, []int{11232, 11233, 11247, 19036}
	case DingTalk:
		code, busy = answer.ErrCode, []int{-1, 88, 90018, 90030, 130101, 410100}
	case WeCom:
		code, busy = answer.ErrCode, []int{-1, 45009, 45033}
	}
	switch {
	case unreadable || code == nil: // not the service: a proxy, perhaps
		return err
	case *code == 0:
		return nil
	case slices.Contains(busy, *code):
		return &busyError{err, maxWait}
	default:
		return &exporters.RejectedError{Err: err}
	}
}

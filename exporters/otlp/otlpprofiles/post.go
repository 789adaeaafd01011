// SPDX-License-Identifier: Apache-2.0

package otlpprofiles

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	collectorpb "go.opentelemetry.io/proto/slim/otlp/collector/profiles/v1development"
	"google.golang.org/protobuf/proto"

	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/internal/onepost"
)

// errTimeout is the cause of a request that exceeds Config.Timeout.
var errTimeout = fmt.Errorf("no answer in time: %w", guard.ErrTimeout)

// retryError is a failure of a request that may succeed later.
type retryError struct {
	error
	after time.Duration // how long the server wants to be left alone; 0 if it does not say
}

// Unwrap returns the failure.
func (e *retryError) Unwrap() error { return e.error }

// partialError means that the server took the request, but not all of its profiles.
type partialError struct {
	rejected int64
	message  string // of the server
}

// Error describes what the server rejected.
func (e *partialError) Error() string {
	if e.rejected == 0 {
		return "the server warns: " + e.message
	}
	return fmt.Sprintf("the server rejected %d profiles: %s", e.rejected, e.message)
}

// post sends a request once. It returns a [retryError] if another attempt may succeed, and a [partialError] if
// the server took the request only in part.
func (e *Exporter) post(ctx context.Context, body []byte) error {
	ctx, cancel := context.WithTimeoutCause(ctx, e.config.Timeout, errTimeout)
	defer cancel()
	req, err := onepost.NewRequest(ctx, e.config.Endpoint, "application/x-protobuf", body)
	if err != nil {
		return err
	}
	if !e.config.Uncompressed {
		req.Header.Set("Content-Encoding", "gzip")
	}
	for name, value := range e.config.Headers {
		req.Header.Set(name, value)
	}
	client := onepost.Client{TLS: e.config.TLS}
	resp, err := client.Do(req)
	if err != nil {
		return &retryError{error: err}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body) // in memory
	if err != nil {
		return &retryError{error: err}
	}
	return judge(resp, answer)
}

// judge returns what an answer means.
func judge(resp *http.Response, body []byte) error {
	if resp.StatusCode/100 == 2 {
		return partial(resp.Header.Get("Content-Type"), body)
	}
	err := fmt.Errorf("%s answers %s: %s", resp.Request.URL.Host, resp.Status, onepost.Excerpt(bytes.NewReader(body)))
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return &retryError{err, onepost.RetryAfter(resp)}
	default:
		return err
	}
}

// partial returns a [partialError] if the body of a successful answer has one. An answer in another form has
// none.
func partial(contentType string, body []byte) error {
	var answer collectorpb.ExportProfilesServiceResponse
	if strings.HasPrefix(contentType, "application/x-protobuf") {
		_ = proto.Unmarshal(body, &answer) // what is malformed is no partial success
	}
	p := answer.GetPartialSuccess()
	if p.GetRejectedProfiles() == 0 && p.GetErrorMessage() == "" {
		return nil
	}
	return &partialError{p.GetRejectedProfiles(), onepost.Excerpt(strings.NewReader(p.GetErrorMessage()))}
}

// SPDX-License-Identifier: Apache-2.0

package alertmanager

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/gmpulse/gmpulse/internal/onepost"
)

// The time until the next attempt after a failure doubles from minWait to maxWait.
const (
	minWait = time.Second
	maxWait = 30 * time.Second
)

// peer is one Alertmanager.
type peer struct {
	url     string
	version uint64 // of the alerts that it has accepted
	sent    time.Time
	err     error // of the last attempt
	refused bool  // it refused alerts that it will always refuse
	wait    time.Duration
	next    time.Time // of the earliest next attempt after a failure
}

// due reports whether to send the alerts to p now.
func (p *peer) due(e *Exporter, now time.Time, last bool) bool {
	behind := p.version != e.version
	if last {
		return behind
	}
	return !now.Before(p.next) && (behind || now.Sub(p.sent) >= e.config.Resend)
}

// post sends the alerts to p.
func (p *peer) post(ctx context.Context, e *Exporter, body []byte, now time.Time) {
	req, err := onepost.NewRequest(ctx, p.url, "application/json", body)
	if err != nil {
		p.fail(err, now)
		return
	}
	resp, err := e.client.Do(req) //nolint:bodyclose // the client has read the body and closed the connection
	switch {
	case err != nil:
		p.fail(err, now)
	case resp.StatusCode/100 == 2:
		p.accept(e.version, now)
	default:
		err = fmt.Errorf("%s answers %s: %s", req.URL.Host, resp.Status, onepost.Excerpt(resp.Body))
		if resp.StatusCode == http.StatusBadRequest { // the same alerts would be refused again; it has taken the valid ones
			p.accept(e.version, now)
			p.err, p.refused = err, true
			return
		}
		p.fail(err, now)
	}
}

func (p *peer) accept(version uint64, now time.Time) {
	p.version, p.sent, p.err, p.refused, p.wait, p.next = version, now, nil, false, 0, time.Time{}
}

func (p *peer) fail(err error, now time.Time) {
	p.err, p.refused = err, false
	p.wait = min(max(2*p.wait, minWait), maxWait)
	p.next = now.Add(p.wait)
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	maxPages     = 64       // pages that top reads
	maxAnswer    = 16 << 20 // bytes of one answer
	answerWait   = 2 * time.Second
	clearScreen  = "\x1b[H\x1b[2J"
	pageBasePath = "/debug/gmpulse/"
)

// topFlags are the flags of the command top.
type topFlags struct {
	tokenFile string
	every     time.Duration
	once      bool
}

func (f *topFlags) define(flags *flag.FlagSet) {
	flags.StringVar(&f.tokenFile, "token-file", "", "")
	flags.DurationVar(&f.every, "every", 2*time.Second, "")
	flags.BoolVar(&f.once, "once", false, "")
}

// top prints a row for each page, again and again on a terminal. It returns an error if no
// page answers the first time.
func top(ctx context.Context, f *topFlags, p printer, addresses []string) error {
	if f.every < 100*time.Millisecond {
		return fmt.Errorf("%w: -every must be at least 100ms", errUsage)
	}
	pages, err := f.pages(addresses)
	if err != nil {
		return err
	}
	once := f.once || !isTerminal(p.out)
	states := readAll(ctx, pages)
	if slices.IndexFunc(states, func(s pageState) bool { return s.err == nil }) < 0 {
		return fmt.Errorf("no page answers: %w", states[0].err)
	}
	tick := time.NewTicker(f.every)
	defer tick.Stop()
	for {
		if !once {
			fmt.Fprint(p.out, clearScreen)
		}
		printPages(p, states)
		if once {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		states = readAll(ctx, pages)
	}
}

// pages returns a client for each address.
func (f *topFlags) pages(addresses []string) ([]*pageClient, error) {
	token, err := readToken(f.tokenFile)
	if err != nil {
		return nil, err
	}
	all := make([]*pageClient, len(addresses))
	for i, a := range addresses {
		base, err := pageURL(a)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errUsage, err)
		}
		all[i] = &pageClient{base: base, token: token}
	}
	return all, nil
}

// readToken returns the token in the file of -token-file, empty if there is no file.
func readToken(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("-token-file: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// pageURL returns the address of a page. The scheme is http and the path /debug/gmpulse/ unless
// the text has others.
func pageURL(text string) (*url.URL, error) {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("not an address such as localhost:9464 or https://shop.internal/debug/gmpulse/")
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = pageBasePath
	}
	u.RawQuery, u.Fragment = "", ""
	return u, nil
}

// pageClient reads the API of one page.
type pageClient struct {
	base  *url.URL
	token string
}

// pageState is the state of the process of one page.
type pageState struct {
	address  string
	err      error
	service  string
	version  string
	start    time.Time
	values   map[string]*float64 // by column, nil while unknown
	verdicts []string            // open ones that need attention, worst first
}

// Columns of the page's history that top shows.
var topColumns = []string{
	"go.goroutine.count", "process.cpu.time.user", "process.cpu.time.system", "process.memory.usage",
	"gmpulse.schedule.duration.p99", "gmpulse.root_spans.ended",
	"gmpulse.capacity.saturation", "band.expected:goroutines",
}

// readAll reads all pages at once.
func readAll(ctx context.Context, pages []*pageClient) []pageState {
	states := make([]pageState, len(pages))
	var wg sync.WaitGroup
	for i, c := range pages {
		wg.Go(func() { states[i] = c.read(ctx) })
	}
	wg.Wait()
	return states
}

// read returns the present state of a page.
func (c *pageClient) read(ctx context.Context) pageState {
	ctx, cancel := context.WithTimeoutCause(ctx, answerWait, fmt.Errorf("no answer within %v", answerWait))
	defer cancel()
	s := pageState{address: c.base.Host, values: map[string]*float64{}}
	var meta struct {
		Start    int64             `json:"start"`
		To       int64             `json:"to"`
		Resource map[string]string `json:"resource"`
	}
	if s.err = c.get(ctx, "meta", nil, &meta); s.err != nil {
		return s
	}
	s.service, s.version = meta.Resource["service.name"], meta.Resource["service.version"]
	s.start = time.UnixMilli(meta.Start)
	var history struct {
		Columns map[string][]*float64 `json:"columns"`
	}
	last := strconv.FormatInt(meta.To-5000, 10)
	if s.err = c.get(ctx, "history", url.Values{"from": {last}, "to": {strconv.FormatInt(meta.To, 10)}, "key": topColumns}, &history); s.err != nil {
		return s
	}
	for name, values := range history.Columns {
		if len(values) > 0 {
			s.values[name] = values[len(values)-1]
		}
	}
	s.err = c.readVerdicts(ctx, &s)
	return s
}

func (c *pageClient) readVerdicts(ctx context.Context, s *pageState) error {
	var groups struct {
		Verdicts []struct {
			Wait    string `json:"wait"`
			Site    string `json:"site"`
			Count   int    `json:"count"`
			Verdict struct {
				Kind    string `json:"kind"`
				Suspect bool   `json:"suspect"`
				Where   string `json:"where"`
				Roots   []struct {
					Name string `json:"name"`
				} `json:"roots"`
			} `json:"verdict"`
		} `json:"verdicts"`
	}
	if err := c.get(ctx, "goroutines", nil, &groups); err != nil {
		return err
	}
	for _, v := range groups.Verdicts {
		if !v.Verdict.Suspect {
			continue
		}
		text := fmt.Sprintf("%d %s at %s", v.Count, v.Verdict.Kind, cmp.Or(v.Verdict.Where, v.Site))
		if len(v.Verdict.Roots) > 0 && v.Verdict.Roots[0].Name != "" {
			text += " under " + v.Verdict.Roots[0].Name
		}
		s.verdicts = append(s.verdicts, text)
	}
	return nil
}

// get requests a route of the API. It decodes the answer into v.
func (c *pageClient) get(ctx context.Context, route string, query url.Values, v any) error {
	u := *c.base
	u.Path = path.Join(u.Path, "api/v1", route)
	u.RawQuery = query.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if e := (*url.Error)(nil); errors.As(err, &e) {
			return e.Err // without the address, which the row has
		}
		return err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		return fmt.Errorf("%s: use -token-file", resp.Status)
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s answers %s; is this the address of a page?", u.Path, resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(v); err != nil {
		return fmt.Errorf("%s answers no JSON; is this the address of a page? (%w)", u.Path, err)
	}
	return nil
}

func printPages(p printer, states []pageState) {
	rows := [][]string{{"address", "service", "version", "up", "goroutines", "usual", "cpu", "memory", "p99 wait", "req/s", "saturation", "verdict"}}
	for i := range states {
		rows = append(rows, states[i].row())
	}
	p.table(rows)
}

// row returns the cells of a table.
func (s *pageState) row() []string {
	if s.err != nil {
		return []string{s.address, s.err.Error()}
	}
	cpu := s.values["process.cpu.time.user"]
	if system := s.values["process.cpu.time.system"]; cpu != nil && system != nil {
		cpu = new(*cpu + *system)
	}
	verdict := "-"
	if n := len(s.verdicts); n > 0 {
		verdict = s.verdicts[0]
		if n > 1 {
			verdict += fmt.Sprintf(" and %d more", n-1)
		}
	}
	wait := "-"
	if p99 := s.values["gmpulse.schedule.duration.p99"]; p99 != nil {
		wait = seconds(*p99)
	}
	return []string{
		s.address, s.service, dash(s.version), short(time.Since(s.start).Round(time.Second)),
		cell(s.values["go.goroutine.count"], 1, "%.0f"), cell(s.values["band.expected:goroutines"], 1, "%.0f"),
		cell(cpu, 1, "%.2f"), cell(s.values["process.memory.usage"], 1e-6, "%.0f MB"), wait,
		cell(s.values["gmpulse.root_spans.ended"], 1, "%.1f"), cell(s.values["gmpulse.capacity.saturation"], 100, "%.0f %%"), verdict,
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/prometheus/client_golang/api"
	promapi "github.com/prometheus/client_golang/api/prometheus/v1"
)

// fleetFlags are the flags of the command fleet.
type fleetFlags struct {
	prometheus, service, page, tokenFile string
	within, timeout                      time.Duration
	json, fail                           bool
}

func (f *fleetFlags) define(flags *flag.FlagSet) {
	flags.StringVar(&f.prometheus, "prometheus", "", "")
	flags.StringVar(&f.service, "service", "", "")
	flags.StringVar(&f.page, "page", "http://{instance}/debug/gmpulse/", "")
	flags.StringVar(&f.tokenFile, "token-file", "", "")
	flags.DurationVar(&f.within, "since", 24*time.Hour, "")
	flags.DurationVar(&f.timeout, "timeout", 30*time.Second, "")
	flags.BoolVar(&f.json, "json", false, "")
	flags.BoolVar(&f.fail, "fail", false, "")
}

// errLeaks is the error of -fail.
var errLeaks = errors.New("a version leaks goroutines")

// fleet prints what Prometheus knows of all instances, by service and version.
func fleet(ctx context.Context, f *fleetFlags, p printer) error {
	client, err := f.client()
	if err != nil {
		return err
	}
	if f.within < time.Minute || f.timeout <= 0 {
		return fmt.Errorf("%w: -since must be at least 1m and -timeout positive", errUsage)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, f.timeout, fmt.Errorf("no answer within -timeout %v", f.timeout))
	defer cancel()
	q := &fleetQuery{api: promapi.NewAPI(client), service: f.service, now: time.Now(), within: f.within, top: p.top}
	report, err := q.report(ctx)
	if err != nil {
		return err
	}
	for _, w := range q.warnings {
		fmt.Fprintln(p.progress, plain("gmpulse: Prometheus warns: "+w))
	}
	report.link(f.page)
	if f.json {
		err = printJSON(p, report)
	} else {
		report.print(p)
	}
	if err == nil && f.fail && report.leaks() {
		return errLeaks
	}
	return err
}

// printJSON writes v as JSON. Control characters, and those that change the direction of text,
// are escaped: the output may be a terminal.
func printJSON(p printer, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, r := range string(text) {
		switch {
		case r == '\n' || unicode.IsGraphic(r):
			b.WriteRune(r)
		default:
			for _, unit := range utf16.AppendRune(nil, r) {
				fmt.Fprintf(&b, `\u%04x`, unit)
			}
		}
	}
	_, err = fmt.Fprintln(p.out, b.String())
	return err
}

// client returns a client of the Prometheus at the address of -prometheus.
func (f *fleetFlags) client() (api.Client, error) {
	u, err := url.Parse(f.prometheus)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%w: fleet needs -prometheus with an address such as http://localhost:9090", errUsage)
	}
	token, err := readToken(f.tokenFile)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport
	if token != "" {
		transport = bearer{transport, u.Host, token}
	}
	return api.NewClient(api.Config{Address: f.prometheus, RoundTripper: transport})
}

// bearer adds a bearer token to requests to a host, but not to others to which it redirects.
type bearer struct {
	next        http.RoundTripper
	host, token string
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != b.host {
		return b.next.RoundTrip(r)
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.next.RoundTrip(r)
}

// fleetReport is what the command fleet prints.
type fleetReport struct {
	Time     time.Time       `json:"time"`
	Versions []versionReport `json:"versions"`
	Worst    []leakReport    `json:"worst,omitempty"`
}

// versionReport describes the instances of one version of a service.
type versionReport struct {
	Service   string `json:"service"`
	Version   string `json:"version"`
	Instances int    `json:"instances"`
	// FirstSeen is the time of the first instance within -since, nil if there was one before.
	FirstSeen *time.Time `json:"first_seen,omitempty"`
	Leaking   int        `json:"leaking_instances"`
	Leaked    int        `json:"leaking_goroutines"`
	// LeakingSince is the time of the first leak within -since, nil if there was one before
	// or there is none.
	LeakingSince *time.Time `json:"leaking_since,omitempty"`
	Sites        []string   `json:"sites,omitempty"`
	Anomalous    int        `json:"anomalous_instances"`
	Goroutines   float64    `json:"goroutines"`
	// Headroom is the number of requests a second that may be added, nil while unknown.
	Headroom   *float64 `json:"headroom_per_second,omitempty"`
	Saturation *float64 `json:"saturation_max,omitempty"`
}

// leakReport is a place at which goroutines of a version or of an instance leak.
type leakReport struct {
	Service    string  `json:"service"`
	Version    string  `json:"version"`
	Instance   string  `json:"instance"` // empty if it is of all instances
	Goroutines float64 `json:"goroutines"`
	Verdict    string  `json:"verdict"`
	Site       string  `json:"site"`
	Root       string  `json:"root_span,omitempty"`
	Page       string  `json:"page,omitempty"`
}

// report reads all figures.
func (q *fleetQuery) report(ctx context.Context) (*fleetReport, error) {
	if err := q.findRules(ctx); err != nil {
		return nil, err
	}
	figures := map[string]figure{}
	for _, f := range allFigures {
		v, err := q.figure(ctx, f)
		if err != nil {
			return nil, err
		}
		figures[f.record] = v
	}
	if len(figures[instances.record]) == 0 {
		return nil, errors.New("there is no target_info of such a service: Prometheus scrapes no gmpulse, or drops target_info")
	}
	seen, errSeen := q.first(ctx, instances)
	began, errBegan := q.first(ctx, leaking)
	sites, errSites := q.sites(ctx)
	worst, errWorst := q.instances(ctx)
	if err := errors.Join(errSeen, errBegan, errSites, errWorst); err != nil {
		return nil, err
	}
	r := &fleetReport{Time: q.now, Worst: worst}
	for key, n := range figures[instances.record] {
		v := newVersionReport(key, figures)
		v.Instances, v.FirstSeen = int(n), seen[key].time()
		if v.Leaking > 0 {
			v.LeakingSince = began[key].time()
		}
		for _, s := range sites {
			if key == (versionKey{s.Service, s.Version}) {
				v.Sites = append(v.Sites, s.String())
			}
		}
		r.Versions = append(r.Versions, v)
	}
	slices.SortFunc(r.Versions, compareVersions)
	return r, nil
}

func newVersionReport(key versionKey, figures map[string]figure) versionReport {
	get := func(f byVersion) float64 { return figures[f.record][key] }
	optional := func(f byVersion) *float64 {
		if v, ok := figures[f.record][key]; ok {
			return &v
		}
		return nil
	}
	return versionReport{
		Service: key.service, Version: key.version,
		Leaking: int(get(leaking)), Leaked: int(get(leaked)), Anomalous: int(get(anomalies)),
		Goroutines: get(goroutines), Headroom: optional(headroom), Saturation: optional(saturation),
	}
}

// compareVersions puts the version with the largest share of leaking instances first.
func compareVersions(a, b versionReport) int {
	return cmp.Or(
		cmp.Compare(b.share(), a.share()), cmp.Compare(b.Leaked, a.Leaked),
		cmp.Compare(a.Service, b.Service), cmp.Compare(a.Version, b.Version))
}

func (v *versionReport) share() float64 {
	return float64(v.Leaking) / max(1, float64(v.Instances))
}

// time returns the time, or nil if it is unknown or before the range.
func (b beginning) time() *time.Time {
	if b.at.IsZero() || b.before {
		return nil
	}
	return &b.at
}

func (s *leakReport) String() string {
	text := fmt.Sprintf("%.0f %s at %s", s.Goroutines, s.Verdict, s.Site)
	if s.Root != "" {
		text += " under " + s.Root
	}
	return text
}

// link sets the addresses of pages from a template.
func (r *fleetReport) link(template string) {
	for i := range r.Worst {
		r.Worst[i].Page = strings.ReplaceAll(template, "{instance}", r.Worst[i].Instance)
	}
}

// leaks reports whether some instance leaks.
func (r *fleetReport) leaks() bool {
	return slices.ContainsFunc(r.Versions, func(v versionReport) bool { return v.Leaking > 0 })
}

func (r *fleetReport) print(p printer) {
	for i := range r.Versions {
		if v := &r.Versions[i]; v.Leaking > 0 {
			p.line("%s", v.sentence())
		}
	}
	if !r.leaks() {
		p.line("no instance leaks goroutines")
	}
	p.title("versions")
	rows := [][]string{{"service", "version", "first seen", "instances", "leak", "goroutines", "of these leaked", "unusual", "busiest", "headroom/s"}}
	for _, v := range r.Versions[:min(len(r.Versions), p.top)] {
		rows = append(rows, []string{
			v.Service, v.Version, clock(v.FirstSeen), strconv.Itoa(v.Instances), strconv.Itoa(v.Leaking), fmt.Sprintf("%.0f", v.Goroutines),
			strconv.Itoa(v.Leaked), strconv.Itoa(v.Anomalous), cell(v.Saturation, 100, "%.0f %%"), cell(v.Headroom, 1, "%.0f"),
		})
	}
	p.table(rows)
	if more := len(r.Versions) - p.top; more > 0 {
		p.line("  %d more versions", more)
	}
	if len(r.Worst) == 0 {
		return
	}
	p.title("worst instances")
	rows = [][]string{{"goroutines", "verdict", "site", "root span", "version", "page"}}
	for _, w := range r.Worst {
		rows = append(rows, []string{fmt.Sprintf("%.0f", w.Goroutines), w.Verdict, w.Site, dash(w.Root), w.Service + " " + w.Version, w.Page})
	}
	p.table(rows)
}

// sentence describes how many instances of a version leak, since when, and where.
func (v *versionReport) sentence() string {
	text := fmt.Sprintf("%s %s: %d of %d instances leak goroutines", v.Service, v.Version, v.Leaking, v.Instances)
	if v.LeakingSince != nil {
		text += ", the first since " + clock(v.LeakingSince)
	}
	if v.FirstSeen != nil {
		text += fmt.Sprintf(" (version first seen at %s)", clock(v.FirstSeen))
	}
	if len(v.Sites) > 0 {
		text += ": " + strings.Join(v.Sites, ", ")
	}
	return text
}

func clock(t *time.Time) string {
	if t == nil {
		return "earlier"
	}
	return t.Local().Format("Jan 2 15:04")
}

// cell formats a value multiplied by scale. It returns "-" if there is none.
func cell(v *float64, scale float64, format string) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf(format, scale**v)
}

func dash(s string) string { return cmp.Or(s, "-") }

// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/alertmanager"
	"github.com/gmpulse/gmpulse/exporters/evidence"
	"github.com/gmpulse/gmpulse/exporters/fluentd"
	"github.com/gmpulse/gmpulse/exporters/page"
	"github.com/gmpulse/gmpulse/exporters/webhook"
	"github.com/gmpulse/gmpulse/runtimeinfo/profiler"
)

// The functions below set what one variable configures, and return an error if its value is
// malformed.

// text returns a function that sets a field to any text.
func text(field func(*settings) *string) func(*settings, string) error {
	return func(s *settings, v string) error {
		*field(s) = v
		return nil
	}
}

// on returns a function that sets a field whose switch is off by default.
func on(field func(*settings) *bool) func(*settings, string) error {
	return func(s *settings, v string) (err error) {
		*field(s), err = parseSwitch(v)
		return err
	}
}

// off returns a function that sets a field, true for off, whose switch is on by default.
func off(field func(*settings) *bool) func(*settings, string) error {
	return func(s *settings, v string) error {
		on, err := parseSwitch(v)
		*field(s) = !on
		return err
	}
}

// setSDKDisabled follows the specification of OpenTelemetry: a value that is neither true
// nor false counts as false and is worth a warning.
func setSDKDisabled(s *settings, v string) error {
	if strings.EqualFold(v, "true") {
		s.disabledBy = "OTEL_SDK_DISABLED"
		return nil
	}
	if !strings.EqualFold(v, "false") {
		return errors.New("neither true nor false, so it counts as false")
	}
	return nil
}

func setMetrics(s *settings, v string) (err error) {
	s.metrics, err = exporters.NewSelection(v)
	return err
}

func setDisabled(s *settings, v string) error {
	on, err := parseSwitch(v)
	s.disabledBy = ""
	if on {
		s.disabledBy = "GMPULSE_DISABLED"
	}
	return err
}

// isOff reports whether v switches a part off. Variables whose value is an address or a
// directory accept the same words as switches.
func isOff(v string) bool {
	on, err := parseSwitch(v)
	return err == nil && !on
}

// parseSwitch parses a value of formSwitch.
func parseSwitch(v string) (on bool, err error) {
	switch strings.ToLower(v) {
	case "on", "true", "1":
		return true, nil
	case "off", "false", "0":
		return false, nil
	default:
		return false, errors.New("neither on nor off")
	}
}

// setResource reads OTEL_RESOURCE_ATTRIBUTES with the detector of the OpenTelemetry SDK, which
// the application's providers use too. The detector keeps the attributes that are well-formed.
func setResource(s *settings, v string) error {
	if _, err := url.PathUnescape(v); err != nil {
		return err // the detector would use the malformed text and write to the standard error
	}
	r, err := resource.New(context.Background(), resource.WithFromEnv())
	s.resource = merge(s.resource, r)
	if err != nil {
		return partial{err}
	}
	return nil
}

func setService(s *settings, v string) error {
	s.resource = merge(s.resource, resource.NewSchemaless(semconv.ServiceName(v)))
	return nil
}

func setPrometheusHost(s *settings, v string) error {
	if strings.ContainsAny(v, " /") {
		return errors.New("not a host")
	}
	_, port, _ := net.SplitHostPort(s.listen)
	s.listen, s.listenFixed = net.JoinHostPort(strings.Trim(v, "[]"), port), true
	return nil
}

func setPrometheusPort(s *settings, v string) error {
	if err := checkPort(v); err != nil {
		return err
	}
	host, _, _ := net.SplitHostPort(s.listen)
	s.listen, s.listenFixed = net.JoinHostPort(host, v), true
	return nil
}

func setListen(s *settings, v string) error {
	s.listenFixed = true
	if isOff(v) {
		s.listen = ""
		return nil
	}
	_, port, err := net.SplitHostPort(v)
	if err != nil {
		return errors.New("not host:port")
	}
	s.listen = v
	return checkPort(port)
}

func checkPort(port string) error {
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return errors.New("the port is not a number from 0 to 65535")
	}
	return nil
}

func setInterval(s *settings, v string) (err error) {
	s.interval, err = interval(v, engine.MinInterval)
	return err
}

func setHostInterval(s *settings, v string) (err error) {
	s.hostInterval, err = interval(v, engine.MinHostInterval)
	return err
}

func interval(v string, least time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err == nil && (d < least || d > engine.MaxInterval) {
		err = fmt.Errorf("not between %v and %v", least, engine.MaxInterval)
	}
	return d, err
}

// duration parses a positive duration.
func duration(v string) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err == nil && d <= 0 {
		err = errors.New("not above zero")
	}
	return d, err
}

// setCPUProfile parses FOR/EVERY.
func setCPUProfile(s *settings, v string) (err error) {
	if s.profiler = nil; isOff(v) {
		return nil
	}
	length, period, _ := strings.Cut(v, "/")
	c := new(profiler.Config)
	if c.For, err = duration(length); err != nil {
		return err
	}
	if c.Every, err = duration(period); err != nil {
		return err
	}
	s.profiler = c
	_, err = profiler.New(*c)
	return err
}

func setAlertmanager(s *settings, v string) error {
	s.alertmanager.URLs = nil
	if isOff(v) {
		return nil
	}
	for u := range strings.SplitSeq(v, ",") {
		if u = strings.TrimSpace(u); u != "" {
			s.alertmanager.URLs = append(s.alertmanager.URLs, u)
		}
	}
	if _, err := alertmanager.New(s.alertmanager); err != nil {
		return clean{errors.New("not an address of this form")}
	}
	return nil
}

func setWebhook(s *settings, v string) error {
	s.webhook.URL = ""
	if isOff(v) {
		return nil
	}
	format, rest, found := strings.Cut(v, "+")
	if !found || strings.Contains(format, ":") {
		format, rest = "", v
	}
	s.webhook.Format, s.webhook.URL = webhook.Format(format), rest
	if _, err := webhook.New(s.webhook); err != nil {
		return hidden{clean{errors.New("not an address of this form")}} // the path is a secret
	}
	return nil
}

func setPageURL(s *settings, v string) error {
	if u, err := url.Parse(v); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("not an address of this form")
	}
	s.pageURL = v
	return nil
}

func setLogEvents(s *settings, v string) error {
	on, err := parseSwitch(v)
	s.logEvents = &on
	return err
}

func setTraceURL(s *settings, v string) error {
	s.page.TraceURL = v
	if _, err := page.New(page.Config{TraceURL: v}); err != nil {
		return errors.New("not an address of this form")
	}
	return nil
}

func setOpen(s *settings, v string) error {
	s.access.Open = nil
	for name := range strings.SplitSeq(v, ",") {
		s.access.Open = append(s.access.Open, "/"+strings.Trim(name, " /"))
	}
	return nil
}

func setAlertsPerWeek(s *settings, v string) error {
	n, err := strconv.ParseFloat(v, 64)
	if err == nil && !(n >= 0.01 && n <= 1000) {
		err = errors.New("out of range")
	}
	s.baselines.AlertsPerWeek = n
	return err
}

func setFluentd(s *settings, v string) error {
	if isOff(v) {
		s.fluentd.URL = ""
		return nil
	}
	s.fluentd.URL = v
	if err := checkFluentd(fluentd.Config{URL: v}); err != nil {
		return clean{err}
	}
	return nil
}

// checkFluentd returns the first error of c, without the accepted form.
func checkFluentd(c fluentd.Config) error {
	_, err := fluentd.New(c)
	if err == nil {
		return nil
	}
	why, _, _ := strings.Cut(err.Error(), ": want ")
	return errors.New(why)
}

func setFluentdInterval(s *settings, v string) error {
	d, err := interval(v, engine.MinInterval)
	s.fluentdPace = []engine.ExporterOption{engine.Every(d)}
	return err
}

func setFluentdTag(s *settings, v string) error {
	s.fluentd.Tag = v
	return checkFluentd(fluentd.Config{URL: "tcp://localhost", Tag: v})
}

func setRecord(s *settings, v string) error {
	if s.fluentd.Full = v == "full"; !s.fluentd.Full && v != "compact" {
		return errors.New("unknown")
	}
	return nil
}

// checkFluentd checks the variables of the Fluentd exporter together, because some require
// another one. If they are wrong it switches the exporter off and returns an error.
func (s *settings) checkFluentd() error {
	if s.fluentd.URL == "" {
		return nil
	}
	_, err := fluentd.New(s.fluentd)
	if err == nil {
		return nil
	}
	s.fluentd = fluentd.Config{Tag: defaultTag}
	return fmt.Errorf("agent: GMPULSE_FLUENTD and GMPULSE_FLUENTD_*: %w", err)
}

func setFluentdCA(s *settings, v string) error {
	s.fluentd.CAFile = v
	return checkFluentd(fluentd.Config{URL: "tls://localhost", CAFile: v})
}

func setCaptureDir(s *settings, v string) error {
	if s.evidence = nil; !isOff(v) {
		s.evidence = &evidence.Config{Dir: v}
	}
	return nil
}

// setSpoolMaxBytes limits the spool on disk or in memory. GMPULSE_SPOOL_DIR is applied
// before it.
func setSpoolMaxBytes(s *settings, v string) error {
	n, err := strconv.ParseInt(v, 10, 64)
	if err == nil && n < 64<<10 {
		err = errors.New("too small")
	}
	s.spool.MaxBytes = n
	if s.spool.Dir == "" {
		s.spool.MaxMemory = n
	}
	return err
}

func setSpoolMaxAge(s *settings, v string) (err error) {
	s.spool.MaxAge, err = duration(v)
	return err
}

// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/internal/redact"
)

// Format is the form of the requests.
type Format string

// The formats. Each service documents its own.
const (
	JSON     Format = ""         // all fields of the events, signed as described for [Verify]
	Slack    Format = "slack"    // incoming webhook: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
	Feishu   Format = "feishu"   // custom bot of Feishu or Lark: https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot
	DingTalk Format = "dingtalk" // custom robot: https://open.dingtalk.com/document/robots/custom-robot-access
	WeCom    Format = "wecom"    // group robot: https://developer.work.weixin.qq.com/document/path/91770
)

// Config configures an [Exporter]. URL must be set.
type Config struct {
	// URL is the address to post to. Errors and log lines contain only its host, because the address of
	// a robot is a secret.
	URL    string
	Format Format
	// Secret signs the requests of JSON, and the requests of Feishu and DingTalk if the robot demands it. Slack
	// and WeCom have no signatures: their address is the secret. Default (""): no signature.
	Secret string
	// Level adds events that belong to no incident and have this severity or a higher one. Default
	// (nil): only incidents.
	Level *slog.Level
	// Language is "en" or "zh", for messages of chat services. Default (""): "zh" for Feishu, DingTalk
	// and WeCom, else "en".
	Language string
	// PageURL returns the address of the live page for the links in messages. It may be nil, and return
	// "".
	PageURL func() string
	// Client sends the requests, such as an [http.Client]. Default (nil): one that makes a connection for
	// each request and uses the proxy of the environment.
	Client interface {
		Do(*http.Request) (*http.Response, error)
	}
}

// check returns an error that names every invalid field, or nil.
func (c *Config) check() error {
	var errs []error
	if u, err := url.Parse(c.URL); err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		errs = append(errs, fmt.Errorf("webhook: Config.URL is %q; set it to an http or https address", withoutPath(c.URL)))
	} else if f := formatOf[u.Hostname()]; c.Format == JSON && f != JSON {
		errs = append(errs, fmt.Errorf("webhook: Config.Format is JSON, which %s does not accept; want %s (%s+https://... in GMPULSE_WEBHOOK)", u.Hostname(), f, f))
	}
	switch c.Format {
	case JSON, Slack, Feishu, DingTalk, WeCom:
	default:
		errs = append(errs, fmt.Errorf("webhook: Config.Format is %q; want slack, feishu, dingtalk, wecom, or nothing for JSON", c.Format))
	}
	if c.Secret != "" && (c.Format == Slack || c.Format == WeCom) {
		errs = append(errs, fmt.Errorf("webhook: Config.Secret has no use for %s; remove it", c.Format))
	}
	if c.Client != nil && guard.IsNil(c.Client) {
		errs = append(errs, fmt.Errorf("webhook: Config.Client is a nil %T", c.Client))
	}
	if c.Language != "" && c.Language != "en" && c.Language != "zh" {
		errs = append(errs, fmt.Errorf("webhook: Config.Language is %q; want en or zh", c.Language))
	}
	return errors.Join(errs...)
}

// formatOf has the hosts of the services. None of them accepts JSON in the form of this package.
//
//nolint:gochecknoglobals // constant
var formatOf = map[string]Format{
	"hooks.slack.com": Slack, "open.feishu.cn": Feishu, "open.larksuite.com": Feishu,
	"oapi.dingtalk.com": DingTalk, "qyapi.weixin.qq.com": WeCom,
}

// withoutPath returns an address without what may be secret: user, password, path and query.
func withoutPath(address string) string {
	address = redact.URL(address)
	start := 0
	if i := strings.Index(address, "://"); i >= 0 {
		start = i + len("://")
	}
	if i := strings.IndexAny(address[start:], "/?"); i >= 0 {
		address = address[:start+i+1] + "xxxxx"
	}
	return address
}

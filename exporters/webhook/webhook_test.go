// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/exporters/spool"
	"github.com/gmpulse/gmpulse/exporters/webhook"
	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

const secret = "SECs3cret"

// service is a Client that answers requests itself.
type service struct {
	mu     sync.Mutex
	status int
	header http.Header
	answer string
	got    []*http.Request
	bodies []string
}

func (s *service) Do(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got, s.bodies = append(s.got, r), append(s.bodies, string(b))
	return &http.Response{StatusCode: s.status, Status: http.StatusText(s.status), Header: s.header, Body: io.NopCloser(strings.NewReader(s.answer))}, nil
}

func (s *service) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.got)
}

// answers are what the services answer to a request that they accept.
func answers() map[webhook.Format]string {
	return map[webhook.Format]string{
		webhook.JSON: "", webhook.Slack: "ok", webhook.Feishu: `{"code":0,"msg":"success","data":{}}`,
		webhook.DingTalk: `{"errcode":0,"errmsg":"ok"}`, webhook.WeCom: `{"errcode":0,"errmsg":"ok"}`,
	}
}

func newExporter(t *testing.T, c webhook.Config) (*webhook.Exporter, *service) {
	t.Helper()
	s := &service{status: http.StatusOK, answer: answers()[c.Format]}
	c.Client, c.PageURL = s, func() string { return "http://checkout:9464/debug/gmpulse/" }
	if c.URL == "" {
		c.URL = "https://hook.example/robot/s3cret?access_token=s3cret"
	}
	e, err := webhook.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return e, s
}

func TestConformance(t *testing.T) {
	for format, answer := range answers() {
		t.Run("format "+string(format), func(t *testing.T) {
			exporttest.Run(t, func(t *testing.T) exporters.Exporter {
				t.Helper()
				s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					_, _ = io.WriteString(w, answer)
				}))
				t.Cleanup(s.Close)
				level := slog.LevelDebug
				e, err := webhook.New(webhook.Config{URL: s.URL, Format: format, Level: &level})
				if err != nil {
					t.Fatal(err)
				}
				return e
			})
		})
	}
}

func events(n int) *runtimeinfo.Snapshot {
	s := exporttest.Snapshot()
	for range n {
		s.Events = append(s.Events, exporttest.Event())
	}
	return s
}

// post exports one incident and returns the request and its body.
func post(t *testing.T, c webhook.Config) (*http.Request, string) {
	t.Helper()
	e, s := newExporter(t, c)
	if err := e.Export(t.Context(), events(1)); err != nil {
		t.Fatal(err)
	}
	if len(s.got) != 1 || s.got[0].Method != http.MethodPost || s.got[0].Header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Fatalf("%d requests, %+v", len(s.got), s.got)
	}
	return s.got[0], s.bodies[0]
}

func TestBodies(t *testing.T) {
	const english = `[gmpulse opened] goroutine leak: 1042 goroutines at main.(*pool).submit (pool.go:87), created under POST /checkout\ntime: 2026-01-02 03:04:05 UTC\nevidence: none of the 1000 that existed at 03:02:05 had ended by 03:04:05\nhint: nothing receives from the channel\nservice: checkout 1.4.2 (checkout-7d9f8b6c5-x2x9k)\npage: http://checkout:9464/debug/gmpulse/`
	const chinese = `[gmpulse 告警] goroutine 泄漏：1042 个 goroutine，位置 main.(*pool).submit (pool.go:87)，在 POST /checkout 下创建\n时间：2026-01-02 03:04:05 UTC\n依据：03:02:05 时已存在的 1000 个到 03:04:05 无一退出\n排查方向：nothing receives from the channel\n服务：checkout 1.4.2 (checkout-7d9f8b6c5-x2x9k)\n页面：http://checkout:9464/debug/gmpulse/`
	for _, test := range []struct {
		c    webhook.Config
		want string
	}{
		{webhook.Config{Format: webhook.Slack}, `{"text":"` + english + `"}`},
		{webhook.Config{Format: webhook.Feishu}, `{"content":{"text":"` + chinese + `"},"msg_type":"text"}`},
		{webhook.Config{Format: webhook.DingTalk}, `{"msgtype":"text","text":{"content":"` + chinese + `"}}`},
		{webhook.Config{Format: webhook.WeCom, Language: "en"}, `{"msgtype":"text","text":{"content":"` + english + `"}}`},
	} {
		if _, body := post(t, test.c); body != test.want {
			t.Errorf("%s:\n%s\nwant\n%s", test.c.Format, body, test.want)
		}
	}
	_, body := post(t, webhook.Config{})
	var got struct {
		Page   string
		Events []struct {
			ID, Time, Message string
			Incident          map[string]any
		}
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil || len(got.Events) != 1 || got.Page == "" {
		t.Fatalf("%s: %v", body, err)
	}
	if x := got.Events[0]; x.ID == "" || x.Time != "2026-01-02T03:04:05.578Z" || x.Message == "" || x.Incident["phase"] != "opened" || x.Incident["size"] != 1042.0 || x.Incident["root_span"] != "POST /checkout" {
		t.Errorf("%+v", x)
	}
	if strings.Contains(body, `"incident.`) {
		t.Errorf("the incident is in the request twice:\n%s", body)
	}
}

// A message about an event of more than a minute ago has its time, such as one that waited for the service.
func TestOldEventsHaveTheirTime(t *testing.T) {
	for age, want := range map[time.Duration]int{0: 0, 50 * time.Second: 0, 2 * time.Minute: 1} {
		e, s := newExporter(t, webhook.Config{Format: webhook.Slack})
		x := exporttest.Event()
		x.Time = time.Now().Add(-age)
		if err := e.Export(t.Context(), exporttest.Snapshot().WithEvents([]runtimeinfo.Event{x})); err != nil {
			t.Fatal(err)
		}
		if body := s.bodies[0]; strings.Count(body, x.Time.UTC().Format(`\ntime: 2006-01-02 15:04:05 UTC\n`)) != want || strings.Count(body, `\ntime: `) != want {
			t.Errorf("%v old: %s", age, body)
		}
	}
}

// A leak is closed when the agent stops. That does not mean that it is repaired.
func TestClosedIsNotCalledRepaired(t *testing.T) {
	e, s := newExporter(t, webhook.Config{Format: webhook.Feishu})
	x := exporttest.Event()
	closed := *x.Incident
	closed.Phase = runtimeinfo.IncidentClosed
	x.Incident = &closed
	if err := e.Export(t.Context(), exporttest.Snapshot().WithEvents([]runtimeinfo.Event{x})); err != nil {
		t.Fatal(err)
	}
	if body := s.bodies[0]; !strings.Contains(body, "[gmpulse 关闭]") {
		t.Errorf("%s", body)
	}
}

// sum is the HMAC-SHA256 that the services describe.
func sum(key, text string) string {
	m := hmac.New(sha256.New, []byte(key))
	m.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}

func TestSignatures(t *testing.T) {
	_, body := post(t, webhook.Config{Format: webhook.Feishu, Secret: secret})
	var f struct{ Timestamp, Sign string }
	if err := json.Unmarshal([]byte(body), &f); err != nil || f.Sign != sum(f.Timestamp+"\n"+secret, "") || len(f.Timestamp) != 10 {
		t.Errorf("Feishu: %s %v", body, err)
	}
	req, _ := post(t, webhook.Config{Format: webhook.DingTalk, Secret: secret})
	if q := req.URL.Query(); q.Get("sign") != sum(secret, q.Get("timestamp")+"\n"+secret) || len(q.Get("timestamp")) != 13 || q.Get("access_token") != "s3cret" {
		t.Errorf("DingTalk: %s", req.URL)
	}
	req, body = post(t, webhook.Config{Secret: secret})
	value := req.Header.Get(webhook.SignatureHeader)
	if err := webhook.Verify(secret, value, []byte(body), 5*time.Minute); err != nil {
		t.Errorf("%s: %v", value, err)
	}
	at, v1, _ := strings.Cut(value, ",")
	for name, bad := range map[string]error{
		"another secret":  webhook.Verify("other", value, []byte(body), 5*time.Minute),
		"no secret":       webhook.Verify("", value, []byte(body), 5*time.Minute),
		"another body":    webhook.Verify(secret, value, []byte(body+" "), 5*time.Minute),
		"another time":    webhook.Verify(secret, at+"0,"+v1, []byte(body), 1<<62),
		"nothing":         webhook.Verify(secret, "", []byte(body), 5*time.Minute),
		"without time":    webhook.Verify(secret, v1, []byte(body), 5*time.Minute),
		"another version": webhook.Verify(secret, strings.Replace(value, "v1", "v0", 1), []byte(body), 5*time.Minute),
		"too old":         webhook.Verify(secret, value, []byte(body), -1),
	} {
		if bad == nil {
			t.Errorf("%s: the signature is valid", name)
		}
	}
}

// Answers of the services: rejected ones are not sent again, others are.
func TestAnswers(t *testing.T) {
	for _, test := range []struct {
		format           webhook.Format
		status           int
		answer           string
		failed, rejected bool
	}{
		{webhook.JSON, 204, "", false, false},
		{webhook.JSON, 500, "", true, false},
		{webhook.JSON, 408, "", true, false},
		{webhook.JSON, 429, "", true, false},
		{webhook.JSON, 404, "", true, true},
		{webhook.JSON, 302, "", true, true},
		{webhook.Slack, 400, "invalid_payload", true, true},
		{webhook.Slack, 404, "no_service", true, true},
		{webhook.Feishu, 200, `{"code":19021,"msg":"sign match fail or timestamp is not within one hour from current time"}`, true, true},
		{webhook.Feishu, 200, `{"code":9499,"msg":"Bad Request"}`, true, true},
		{webhook.Feishu, 200, `{"code":11232,"msg":"frequency limited psm"}`, true, false},
		{webhook.Feishu, 200, `<html>proxy</html>`, true, false},
		{webhook.DingTalk, 200, `{"errcode":310000,"errmsg":"sign not match"}`, true, true},
		{webhook.DingTalk, 200, `{"errcode":130101,"errmsg":"send too fast"}`, true, false},
		{webhook.DingTalk, 200, `{}`, true, false},
		{webhook.WeCom, 200, `{"errcode":93000,"errmsg":"invalid webhook url"}`, true, true},
		{webhook.WeCom, 200, `{"errcode":45009,"errmsg":"api freq out of limit"}`, true, false},
	} {
		e, s := newExporter(t, webhook.Config{Format: test.format})
		s.status, s.answer = test.status, test.answer
		err := e.Export(t.Context(), events(3))
		rejected, isRejected := errors.AsType[*exporters.RejectedError](err)
		if (err != nil) != test.failed || isRejected != test.rejected || isRejected && (rejected.Events != 3 || rejected.Snapshot) {
			t.Errorf("%s %d %s: %v", test.format, test.status, test.answer, err)
		}
		if err != nil && (strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "hook.example")) {
			t.Error(err)
		}
		again := e.Export(t.Context(), events(1))
		if test.failed && !test.rejected && (again == nil || s.count() != 1) {
			t.Errorf("%s %d %s: sent again at once: %v", test.format, test.status, test.answer, again)
		}
	}
}

// An exporter waits longer after each failure, and as long as the service says.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, s := newExporter(t, webhook.Config{})
		s.status = http.StatusInternalServerError
		for range 120 {
			if err := e.Export(t.Context(), events(1)); err == nil {
				t.Fatal("no error")
			}
			time.Sleep(time.Second)
		}
		if n := s.count(); n != 7 { // after 0, 1, 3, 7, 15, 31 and 63 s
			t.Errorf("%d attempts in two minutes", n)
		}
		time.Sleep(time.Minute)
		s.status = http.StatusOK
		if err := e.Export(t.Context(), events(1)); err != nil {
			t.Error(err)
		}
		s.status, s.header = http.StatusTooManyRequests, http.Header{"Retry-After": {"30"}}
		_ = e.Export(t.Context(), events(1))
		s.status = http.StatusOK
		time.Sleep(29 * time.Second)
		if err := e.Export(t.Context(), events(1)); err == nil {
			t.Error("did not wait for 30 s")
		}
		time.Sleep(2 * time.Second)
		if err := e.Export(t.Context(), events(1)); err != nil {
			t.Error(err)
		}
	})
}

// A robot of DingTalk gets at most 15 messages in a minute. What waits is one message.
func TestLimitOfMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, s := newExporter(t, webhook.Config{Format: webhook.DingTalk})
		waiting := 0
		for range 60 {
			waiting++
			if e.Export(t.Context(), events(waiting)) == nil {
				waiting = 0
			}
			time.Sleep(900 * time.Millisecond)
		}
		if n := s.count(); n != 15 || waiting != 45 {
			t.Errorf("%d messages in 54 s, %d events wait", n, waiting)
		}
		time.Sleep(10 * time.Second)
		if err := e.Export(t.Context(), events(waiting)); err != nil {
			t.Error(err)
		}
		if last := s.bodies[len(s.bodies)-1]; s.count() != 16 || !strings.Contains(last, "另有 40 个事件") || strings.Count(last, "告警") != 5 {
			t.Errorf("%d messages, the last is %s", s.count(), last)
		}
	})
}

func TestWhichEvents(t *testing.T) {
	s := exporttest.Snapshot()
	for _, level := range []slog.Level{slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		e := exporttest.Event()
		e.Severity, e.Incident, e.Message = level, nil, "plain "+level.String()
		s.Events = append(s.Events, e)
	}
	e, got := newExporter(t, webhook.Config{Format: webhook.Slack})
	if err := e.Export(t.Context(), s); err != nil || got.count() != 0 {
		t.Errorf("%v, %q", err, got.bodies)
	}
	level := slog.LevelWarn
	e, got = newExporter(t, webhook.Config{Format: webhook.Slack, Level: &level})
	if err := e.Export(t.Context(), s); err != nil || got.count() != 1 || strings.Contains(got.bodies[0], "plain INFO") || !strings.Contains(got.bodies[0], "[WARN] plain WARN\\n") || !strings.Contains(got.bodies[0], "\\n[ERROR] plain ERROR\\n") {
		t.Errorf("%v, %q", err, got.bodies)
	}
}

// Texts of the application notify no user of the service, and fit into what the service accepts.
func TestTextsAreHarmless(t *testing.T) {
	s := events(5)
	for i := range s.Events {
		s.Events[i].Incident.Root = `<!channel> <at user_id="all"></at> & ` + strings.Repeat("长", 2000)
	}
	for format, forbidden := range map[webhook.Format]string{webhook.Slack: "<!", webhook.Feishu: "<at", webhook.WeCom: "\x00", webhook.DingTalk: "\x00"} {
		e, got := newExporter(t, webhook.Config{Format: format})
		if err := e.Export(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		body := got.bodies[0]
		if strings.Contains(body, forbidden) || len(body) > 20_000 || format == webhook.WeCom && len(body) > 2048+100 {
			t.Errorf("%s: %d bytes: %.300s", format, len(body), body)
		}
	}
}

// Behind a spool, the messages of an outage arrive afterwards.
func TestSpool(t *testing.T) {
	e, s := newExporter(t, webhook.Config{})
	s.status = http.StatusServiceUnavailable
	x, err := spool.New(e, spool.Config{Name: "webhook", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = x.Shutdown(t.Context()) }()
	if err := x.Export(t.Context(), events(1)); err != nil {
		t.Fatal(err)
	}
	testutil.Eventually(t, "an attempt", func() bool { return s.count() > 0 })
	s.mu.Lock()
	s.status = http.StatusOK
	s.mu.Unlock()
	testutil.Eventually(t, "the event is delivered", func() bool {
		stats := x.ExporterStats()
		return stats.Events.Delivered == 1 && stats.Events.Lost() == 0
	})
}

func TestNewNamesInvalidFields(t *testing.T) {
	_, err := webhook.New(webhook.Config{URL: "ftp://me:s3cret@host?key=s3cret", Format: "teams", Language: "fr"})
	for _, want := range []string{`Config.URL is "ftp://xxxxx@host?xxxxx"`, `Config.Format is "teams"`, `Config.Language is "fr"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	if _, err := webhook.New(webhook.Config{URL: "https://host", Format: webhook.WeCom, Secret: "x"}); err == nil || !strings.Contains(err.Error(), "Config.Secret has no use") {
		t.Error(err)
	}
}

// The address of a robot is a secret, also if it is malformed.
func TestNewHidesTheAddress(t *testing.T) {
	for _, address := range []string{"hooks.slack.com/services/T/B/s3cret", "ftp://host/s3cret", "https://me:s3cret@ho st/s3cret", "//host/s3cret", "/s3cret"} {
		if _, err := webhook.New(webhook.Config{URL: address}); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// The services refuse the JSON that is sent to an address without the prefix of a service. Without a
// check, the first incident would show it.
func TestNewNamesTheFormatOfAService(t *testing.T) {
	for address, format := range map[string]webhook.Format{
		"https://hooks.slack.com/services/T/B/s3cret":              webhook.Slack,
		"https://open.feishu.cn/open-apis/bot/v2/hook/s3cret":      webhook.Feishu,
		"https://open.larksuite.com/open-apis/bot/v2/hook/s3cret":  webhook.Feishu,
		"https://oapi.dingtalk.com/robot/send?access_token=s3cret": webhook.DingTalk,
		"https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=s":   webhook.WeCom,
	} {
		if _, err := webhook.New(webhook.Config{URL: address}); err == nil || !strings.Contains(err.Error(), "want "+string(format)) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", address, err)
		}
		if _, err := webhook.New(webhook.Config{URL: address, Format: format}); err != nil {
			t.Error(err)
		}
	}
}

// A receiver of JSON verifies the signature before it reads a request.
func ExampleVerify() {
	receive := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4<<20))
		if err != nil || webhook.Verify(secret, r.Header.Get(webhook.SignatureHeader), body, 5*time.Minute) != nil {
			http.Error(w, "not for us", http.StatusForbidden)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
	server := httptest.NewServer(http.HandlerFunc(receive))
	defer server.Close()

	e, err := webhook.New(webhook.Config{URL: server.URL, Secret: secret})
	if err != nil {
		fmt.Println(err)
		return
	}
	s := exporttest.Snapshot().WithEvents([]runtimeinfo.Event{exporttest.Event()})
	fmt.Println(e.Export(context.Background(), s))
	// Output: <nil>
}

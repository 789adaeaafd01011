// SPDX-License-Identifier: Apache-2.0

package incidenttext_test

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/gmpulse/gmpulse/internal/incidenttext"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

var update = flag.Bool("update", false, "write chinese.txt")

// TestChineseIsThatOfThePage fails if the page has other translations.
func TestChineseIsThatOfThePage(t *testing.T) {
	source, err := os.ReadFile("../../exporters/page/assets/i18n.js")
	if err != nil {
		t.Fatal(err)
	}
	_, texts, found := strings.Cut(string(source), "const hints = {")
	texts, _, ends := strings.Cut(texts, "\nlet current")
	if !found || !ends {
		t.Fatal("i18n.js has no hints and evidences")
	}
	var b strings.Builder
	pairs := regexp.MustCompile(`(?m)^  (?:'[\w-]+': )?\['((?:[^'\\]|\\.)*)', '((?:[^'\\]|\\.)*)'\],`).FindAllStringSubmatch(texts, -1)
	for _, p := range pairs {
		b.WriteString(strings.ReplaceAll(p[1], `\'`, "'") + "\t" + strings.ReplaceAll(p[2], `\'`, "'") + "\n")
	}
	if lines := strings.Count(texts, "\n  [") + strings.Count(texts, "\n  '"); lines != len(pairs) || lines < 80 {
		t.Errorf("read %d of %d texts", len(pairs), lines)
	}
	if *update {
		if err := os.WriteFile("chinese.txt", []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile("chinese.txt")
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != b.String() {
		t.Error("chinese.txt differs from the texts of the page; run go test ./internal/incidenttext -update")
	}
}

func TestTitles(t *testing.T) {
	for _, test := range []struct {
		incident         runtimeinfo.Incident
		english, chinese string
	}{
		{
			runtimeinfo.Incident{Kind: "leak", Site: "main.notify (main.go:42)", Root: "POST /orders", Size: 320, Unit: "{goroutine}"},
			"goroutine leak: 320 goroutines at main.notify (main.go:42), created under POST /orders",
			"goroutine 泄漏：320 个 goroutine，位置 main.notify (main.go:42)，在 POST /orders 下创建",
		},
		{
			runtimeinfo.Incident{Kind: "stuck", Site: "main.call (main.go:7)", Size: 21, Unit: "{goroutine}"},
			"stuck requests: 21 goroutines at main.call (main.go:7)",
			"请求卡住：21 个 goroutine，位置 main.call (main.go:7)",
		},
		{
			runtimeinfo.Incident{Kind: "anomaly", Signal: "root_span.p99 GET /cart", Root: "GET /cart", Size: 1.25, Unit: "s"},
			"anomaly: root_span.p99 GET /cart at 1.25s", "指标异常：root_span.p99 GET /cart 达到 1.25s",
		},
		{
			runtimeinfo.Incident{Kind: "ceiling", Signal: "memory.resident", Size: 0.9, Unit: "1"},
			"ceiling reached: memory.resident at 90 %", "达到上限：memory.resident 达到 90 %",
		},
		{
			runtimeinfo.Incident{Kind: "unclosed", Site: "main.fetch (main.go:7)", Root: "GET /order", Size: 12, Unit: "{body}"},
			"unclosed HTTP responses: 12 response bodies at main.fetch (main.go:7), requested under GET /order",
			"HTTP 响应体未关闭：12 个响应体，位置 main.fetch (main.go:7)，在 GET /order 中发出请求",
		},
		{runtimeinfo.Incident{}, "incident: 0 goroutines", "incident：0 个 goroutine"},
	} {
		if got := incidenttext.Title(&test.incident); got != test.english {
			t.Errorf("%q, want %q", got, test.english)
		}
		if got := incidenttext.ChineseTitle(&test.incident); got != test.chinese {
			t.Errorf("%q, want %q", got, test.chinese)
		}
	}
}

func TestChinese(t *testing.T) {
	for english, want := range map[string]string{
		"0 of 320 ran during 2 recordings of 5s each; none of the 160 that existed at 10:00:05 had ended by 10:01:05": "2 次各 5 秒的执行记录内，320 个中有 0 个运行过；10:00:05 时已存在的 160 个到 10:01:05 无一退出",
		"none that waited for 1m30s had ended by 10:00:05, and the memory lasts for 1h0m0s at this rate":              "截至 10:00:05，等待超过 1 分 30 秒的无一退出；按此速度内存还能撑 1 小时",
		"a loop that sleeps has no way to end: pass a context to it":                                                  "带 Sleep 的循环没有退出条件：给它一个 context。",
		"a sentence of a later version; all members have ended":                                                       "a sentence of a later version；所有成员都已退出",
		"no code can reach 12 bodies that were neither closed nor read to their end; each holds a connection":         "有 12 个响应体既没有关闭也没有读完，程序中已没有代码能访问到它们；每个占着一个连接",
		"over after 1m30s, and as expected for 2m0s":                                                                  "持续 1 分 30 秒后恢复，恢复正常已有 2 分",
		"the agent stops": "agent 停止",
		"":                "",
	} {
		if got := incidenttext.ChineseEvidence(english); got != want {
			t.Errorf("%q becomes %q, want %q", english, got, want)
		}
	}
}

// A text that is longer than any that the detector writes stays as it is: matching it with every sentence
// would take hundreds of milliseconds.
func TestLongTextsAreNotTranslated(t *testing.T) {
	const hint = " does not return: limit the call with a context or a timeout"
	if short := "main.call" + hint; incidenttext.ChineseHint(short) == short {
		t.Errorf("%s is not translated", short)
	}
	if long := strings.Repeat("x", 100<<10) + hint; incidenttext.ChineseHint(long) != long {
		t.Error("a long hint is translated")
	}
	if long := strings.Repeat("main.call"+hint+"; ", 1000); incidenttext.ChineseEvidence(long) != long {
		t.Error("long evidence is translated")
	}
}

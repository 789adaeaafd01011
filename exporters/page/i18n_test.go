// SPDX-License-Identifier: Apache-2.0

package page_test

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Hints reach the page with names of functions in them. Their translation keeps the names.
func TestHintsAreTranslated(t *testing.T) {
	const call = "github.com/IBM/sarama.NewAsyncProducer"
	for _, tt := range []struct{ lang, hint, want string }{
		{"zh", "sql.Rows are not closed", "sql.Rows 没有 Close。"},
		{
			"zh", call + ", called at main.(*server).order (main.go:31), starts goroutines that end when the object is closed: close it, or create one and share it",
			call + "（在 main.(*server).order (main.go:31) 处调用）会启动 goroutine，对象关闭后才退出：用完要关闭，或者只建一个、大家共用。",
		},
		{
			"zh", "they run only code of gopkg.in/natefinch/lumberjack.v2: look for an object of that package that is created repeatedly and never closed",
			"它们只在 gopkg.in/natefinch/lumberjack.v2 内部运行：看看是否有它的对象被反复新建却从不关闭。",
		},
		{"zh", "$& does not return: limit the call with a context or a timeout", "$& 一直没有返回：用 context 或超时限制这次调用。"},
		{"zh", "a hint of a later version", "a hint of a later version"},
		{"en", "sql.Rows are not closed", "sql.Rows are not closed"},
	} {
		if got := inNode(t, "i18n.js", "choose(process.argv[1]); process.stdout.write(hint(process.argv[2]));", tt.lang, tt.hint); got != tt.want {
			t.Errorf("%s: %q reads %q, want %q", tt.lang, tt.hint, got, tt.want)
		}
	}
}

// Short names of functions have no package path and no type arguments.
func TestFunctionNamesAreShortened(t *testing.T) {
	for function, want := range map[string]string{
		"github.com/nats-io/nats%2ego.(*Conn).readLoop":                                                "nats.go.(*Conn).readLoop",
		"example.com/app.Map[go.shape.struct { A [3]example.com/x.B; C github.com/y/z%2ego.D }].func1": "app.Map[…].func1",
		"main.(*Cache[go.shape.string]).Do[go.shape.int]":                                              "main.(*Cache[…]).Do[…]",
		"main.main": "main.main",
		"":          "unknown",
	} {
		if got := inNode(t, "format.js", "process.stdout.write(func(process.argv[1]));", function); got != want {
			t.Errorf("%q reads %q, want %q", function, got, want)
		}
	}
}

// inNode returns the output of an asset of the page followed by a script.
func inNode(t *testing.T, asset, script string, args ...string) string {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("no node:", err)
	}
	source, err := os.ReadFile("assets/" + asset)
	if err != nil {
		t.Fatal(err)
	}
	const browser = "Object.defineProperty(globalThis, 'navigator', {value: {language: 'en'}}); globalThis.document = {documentElement: {}};\n"
	// The script needs no other modules, and they could not be resolved.
	module := regexp.MustCompile(`(?m)^import .*$`).ReplaceAllString(string(source), "")
	out, err := exec.CommandContext(t.Context(), node, append([]string{"--input-type=module", "--eval", browser + module + "\n" + script, "--"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestEveryTextHasBothLanguages(t *testing.T) {
	words, err := os.ReadFile("assets/i18n.js")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(words), "const words = {")
	block, _, _ = strings.Cut(block, "\n};")
	pairs := regexp.MustCompile(`'([a-zA-Z0-9._-]+)': \['((?:[^'\\]|\\.)*)', '((?:[^'\\]|\\.)*)'\]`).FindAllStringSubmatch(block, -1)
	keys := map[string]bool{}
	place := regexp.MustCompile(`\{\w+\}`)
	for _, p := range pairs {
		if keys[p[1]] {
			t.Errorf("%s is defined twice", p[1])
		}
		keys[p[1]] = true
		en, zh := place.FindAllString(p[2], -1), place.FindAllString(p[3], -1)
		slices.Sort(en)
		slices.Sort(zh)
		if !slices.Equal(en, zh) || (p[2] == "") != (p[3] == "") {
			t.Errorf("%s: the placeholders of %q and %q differ", p[1], p[2], p[3])
		}
	}
	if n := strings.Count(block, "': ["); n != len(pairs) || n < 100 {
		t.Errorf("parsed %d of %d texts", len(pairs), n)
	}
	used := regexp.MustCompile(`\bt\('([a-zA-Z0-9.-]+)'[,)]`)
	for _, f := range files(t, "*.js") {
		for _, m := range used.FindAllStringSubmatch(string(f.text), -1) {
			if !keys[m[1]] {
				t.Errorf("%s uses %q, which has no text", f.name, m[1])
			}
		}
	}
}

// The commands that the page offers select one root span, whatever characters its name has. A
// shell passes -tagfocus to pprof, which splits it at commas and matches regular expressions.
func TestCommandsSelectOneRootSpan(t *testing.T) {
	const script = `globalThis.location = {href: "http://host:9464/debug/gmpulse/?lang=en#range=1-2", protocol: "http:", host: "host:9464", hostname: "host"};
process.stdout.write(commands(process.argv[1]).map(([, text]) => text).join("\n"));`
	for _, tt := range []struct{ root, label, other string }{
		{"GET /cart", "GET /cart", "GET /cart/items"},
		{"GET /cart/{id}(x)|[y]+$?.*", "GET /cart/{id}(x)|[y]+$?.*", "GET /cart/"},
		{"it's, here", "it's, here", "it's"},
		{"GET /a" + strings.Repeat("订单", 9), "GET /a" + strings.Repeat("订单", 6) + "订", "GET /a订单"}, // at most 47 bytes of it, in whole characters
	} {
		lines := strings.Split(inNode(t, "profiles.js", script, tt.root), "\n")
		if len(lines) != 5 || !strings.HasSuffix(lines[0], " 'http://host:9464/debug/gmpulse/pprof/profile?seconds=30'") {
			t.Fatalf("%s: %q", tt.root, lines)
		}
		for _, line := range lines[:2] { // CPU and goroutines
			out, err := exec.CommandContext(t.Context(), "sh", "-c", strings.Replace(line, "go tool pprof", "printf '%s\\n'", 1)).CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v: %s", line, err, out)
			}
			_, option, _ := strings.Cut(string(out), "-tagfocus=gmpulse_root=")
			expression, _, _ := strings.Cut(option, "\n")
			if strings.Contains(expression, ",") {
				t.Errorf("%s: pprof splits %s at the comma", tt.root, expression)
			}
			re := regexp.MustCompile(expression)
			if !re.MatchString(tt.label) || re.MatchString(tt.other) {
				t.Errorf("%s: %s does not match only %s", tt.root, expression, tt.label)
			}
		}
	}
	if all := inNode(t, "profiles.js", script, ""); strings.Contains(all, "-tagfocus") || strings.Count(all, "-tagroot=gmpulse_root") != 2 {
		t.Errorf("all root spans: %s", all)
	}
}

// SPDX-License-Identifier: Apache-2.0

package page_test

import (
	"os"
	"os/exec"
	"regexp"
	"testing"
)

// Hints have names of functions in them when they reach the page: the browser
// finds the Chinese text, and keeps the names.
func TestHintsInChinese(t *testing.T) {
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

// Names of functions are short, also those with type arguments of 900 characters.
func TestFunctionNamesAreShort(t *testing.T) {
	for function, want := range map[string]string{
		"github.com/nats-io/nats%2ego.(*Conn).readLoop":                                                 "nats.go.(*Conn).readLoop",
		"example.com/app.Map[go.shape.struct { A [3]example.com/x.B; C github.com/y/z%2ego.D }].func1": "app.Map[…].func1",
		"main.(*Cache[go.shape.string]).Do[go.shape.int]":                                               "main.(*Cache[…]).Do[…]",
		"main.main": "main.main",
		"":          "unknown",
	} {
		if got := inNode(t, "format.js", "process.stdout.write(func(process.argv[1]));", function); got != want {
			t.Errorf("%q reads %q, want %q", function, got, want)
		}
	}
}

// inNode returns what a script writes that goes on after an asset of the page.
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
	// Modules of other assets cannot be found from here, and are not needed.
	module := regexp.MustCompile(`(?m)^import .*$`).ReplaceAllString(string(source), "")
	out, err := exec.CommandContext(t.Context(), node, append([]string{"--input-type=module", "--eval", browser + module + "\n" + script, "--"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

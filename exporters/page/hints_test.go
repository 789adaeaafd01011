package page_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Hints have names of functions in them when they reach the page: the browser
// finds the Chinese text, and keeps the names.
func TestHintsInChinese(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("no node:", err)
	}
	source, err := os.ReadFile("assets/i18n.js")
	if err != nil {
		t.Fatal(err)
	}
	const call = "github.com/IBM/sarama.NewAsyncProducer"
	for _, tt := range []struct{ lang, hint, want string }{
		{"zh", "sql.Rows are not closed", "sql.Rows 没有 Close。"},
		{"zh", call + ", called at main.(*shop).order (shop.go:31), starts goroutines that end when the object is closed: close it, or make one and share it",
			call + "（在 main.(*shop).order (shop.go:31) 处调用）会启动 goroutine，对象关闭后才退出：用完要关闭，或者只建一个、大家共用。"},
		{"zh", "they run in gopkg.in/natefinch/lumberjack.v2 alone: look for an object of it that is made again and again and never closed",
			"它们只在 gopkg.in/natefinch/lumberjack.v2 内部运行：看看是否有它的对象被反复新建却从不关闭。"},
		{"zh", "$& does not return: bound the call with a context or a timeout", "$& 一直没有返回：用 context 或超时限制这次调用。"},
		{"zh", "a hint of a later version", "a hint of a later version"},
		{"en", "sql.Rows are not closed", "sql.Rows are not closed"},
	} {
		script := "Object.defineProperty(globalThis, 'navigator', {value: {language: 'en'}}); globalThis.document = {documentElement: {}};\n" +
			string(source) + "\nchoose(process.argv[1]); process.stdout.write(hint(process.argv[2]));\n"
		out, err := exec.CommandContext(t.Context(), node, "--input-type=module", "--eval", script, tt.lang, tt.hint).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != tt.want {
			t.Errorf("%s: %q reads %q (%v), want %q", tt.lang, tt.hint, got, err, tt.want)
		}
	}
}

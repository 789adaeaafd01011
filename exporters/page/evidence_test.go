// SPDX-License-Identifier: Apache-2.0

package page_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"iter"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The page translates every clause that the detector uses as evidence.
func TestEvidenceIsTranslated(t *testing.T) {
	sentences := map[string]string{
		"0 of 3061 ran during 8 recordings of 4s each; none of the 2336 that existed at 09:10:07 had ended by 09:20:00":                "8 次各 4 秒的执行记录内，3061 个中有 0 个运行过；09:10:07 时已存在的 2336 个到 09:20:00 无一退出",
		"in a sample 1 of 30 ran during a recording of 1m30s; 2 ended late, and 28 that existed at 23:59:59 had not ended by 00:02:00": "抽样结果：一次 1 分 30 秒的执行记录内，30 个中有 1 个运行过；有 2 个较晚才退出，23:59:59 时已存在的另外 28 个到 00:02:00 仍未退出",
		"they work: none of the older members ran during a recording of 250ms":                                                         "它们在工作：一次 250 毫秒的执行记录内，较早的成员都没有运行",
		"no GET /a/{id} has ended for 1h0m0s, earlier ones took 1.5s at most":                                                          "1 小时内没有 GET /a/{id} 结束，此前最长 1.5 秒",
		"-3 more in 2m0s; a sentence of a later version":                                                                               "2 分内新增 -3 个；a sentence of a later version",
	}
	clauses := evidenceClauses(t)
	if len(clauses) < 35 {
		t.Fatalf("only %d clauses found in the detector: %q", len(clauses), clauses)
	}
	all := slices.Clone(clauses)
	for s := range sentences {
		all = append(all, s)
	}
	texts, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	out := inNode(t, "i18n.js", "choose('zh'); process.stdout.write(JSON.stringify(JSON.parse(process.argv[1]).map(evidence)));", string(texts))
	var got []string
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	kept := strings.NewReplacer("GET /order", "", "main.worker (main.go:9)", "", "goroutine", "", "span", "", "GC", "", "handler", "")
	english := regexp.MustCompile(`[A-Za-z]`)
	for i, text := range all {
		if want, ok := sentences[text]; ok && got[i] != want {
			t.Errorf("%q reads %q, want %q", text, got[i], want)
		} else if !ok && english.MatchString(kept.Replace(got[i])) {
			t.Errorf("the page does not translate %q completely: %q", text, got[i])
		}
	}
}

// evidenceClauses returns the clauses in the source of the detector, with values in place
// of the verbs.
func evidenceClauses(t *testing.T) (clauses []string) {
	t.Helper()
	const ran = "3 of 5 ran during a recording of 2s"
	values := strings.NewReplacer(
		"during %s", "during 8 recordings of 4s each", "at %s", "at 12:34:56", "by %s", "by 12:36:56", "no %s", "no GET /order", "work: %s", "work: main.worker (main.go:9)",
		"%s of the older", "12 % of the older", "%.0f %%", "12 %", "%.0f", "7", "%.2g", "0.98", "%d", "7", "%v", "2m30s",
	)
	for _, file := range []string{"evidence.go", "classify.go", "inflight.go", "detector.go"} {
		parsed, err := parser.ParseFile(token.NewFileSet(), "../../runtimeinfo/goroutines/"+file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for text := range stringsIn(parsed, file == "detector.go") {
			for clause := range strings.SplitSeq(text, ";") {
				clause = values.Replace(strings.TrimLeft(clause, " "))
				if strings.HasSuffix(clause, " ") && len(clause) > 1 {
					clause += ran
				}
				if strings.Count(clause, " ") > 0 && clause != "12 %" {
					clauses = append(clauses, clause)
				}
			}
		}
	}
	return clauses
}

// stringsIn returns the string literals in n, or only those in the values of fields named
// Evidence.
func stringsIn(n ast.Node, inFields bool) iter.Seq[string] {
	return func(yield func(string) bool) {
		for n := range ast.Preorder(n) {
			switch n := n.(type) {
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok && inFields && key.Name == "Evidence" {
					stringsIn(n.Value, false)(yield)
				}
			case *ast.BasicLit:
				if text, err := strconv.Unquote(n.Value); err == nil && !inFields && n.Kind == token.STRING && !yield(text) {
					return
				}
			}
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package incidenttext

import (
	_ "embed" // for the table
	"regexp"
	"strconv"
	"strings"

	"github.com/gmpulse/gmpulse/internal/units"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// chinese has the sentences of the detector and their translations, one pair a line, separated by a tab.
// It is made from the texts of the live page: go test ./internal/incidenttext -update.
//
//go:embed chinese.txt
var chinese string

// more has the sentences of incidents that the page does not show.
const more = "the agent stops\tagent 停止\n" +
	"it has the same cause as the incident at {site}\t与 {site} 处的事故原因相同\n" +
	"no code can reach {n} bodies that were neither closed nor read to their end\t有 {n} 个响应体既没有关闭也没有读完，程序中已没有代码能访问到它们\n" +
	"each holds a connection\t每个占着一个连接\n" +
	"the contexts of all these requests are done, which has freed their connections\t这些请求的 context 均已结束，连接已释放\n" +
	"close each response body: defer resp.Body.Close() after the check of the error, on every path\t关闭每个响应体：检查错误之后就 defer resp.Body.Close()，不要漏掉任何分支。\n" +
	"over after {d}, and as expected for {d2}\t持续 {d}后恢复，恢复正常已有 {d2}\n"

// chineseKind returns the Chinese name of a kind of incident.
func chineseKind(kind string) string {
	switch kind {
	case "leak":
		return "goroutine 泄漏"
	case "stuck":
		return "请求卡住"
	case "unclosed":
		return "HTTP 响应体未关闭"
	case "anomaly":
		return "指标异常"
	case "ceiling":
		return "达到上限"
	default:
		return Kind(kind)
	}
}

// ChineseTitle is [Title] in Chinese.
func ChineseTitle(i *runtimeinfo.Incident) string {
	var b strings.Builder
	b.WriteString(chineseKind(i.Kind) + "：" + chineseSize(i))
	if i.Site != "" {
		b.WriteString("，位置 " + i.Site)
	}
	if i.Root != "" && i.Site != "" {
		b.WriteString("，在 " + i.Root + noun(i, " 下创建", " 中发出请求"))
	}
	return b.String()
}

// chineseSize is size in Chinese.
func chineseSize(i *runtimeinfo.Incident) string {
	if i.Signal != "" {
		return i.Signal + " 达到 " + units.Format(i.Size, i.Unit)
	}
	return strconv.FormatFloat(i.Size, 'f', -1, 64) + noun(i, " 个 goroutine", " 个响应体")
}

// maxTranslated is the longest text that is translated, in bytes. The texts of the detector are shorter.
const maxTranslated = 4 << 10

// ChineseEvidence returns the translation of an evidence. A clause that is not known stays as it is.
func ChineseEvidence(text string) string {
	if len(text) > maxTranslated {
		return text
	}
	clauses := strings.Split(text, "; ")
	for i, c := range clauses {
		clauses[i] = translate(c)
	}
	return strings.Join(clauses, "；")
}

// ChineseHint returns the translation of a hint, or the hint if it is not known.
func ChineseHint(text string) string { return translate(text) }

// translate translates one clause and the values in it.
func translate(text string) string {
	if text == "" || len(text) > maxTranslated {
		return text
	}
	for line := range strings.Lines(chinese + more) {
		from, to, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		names, values := match(from, text)
		if values == nil {
			continue
		}
		for i, name := range names {
			v := values[i]
			if name[0] == 'd' && len(name) <= 2 {
				v = duration(v)
			} else {
				v = translate(v)
			}
			to = strings.ReplaceAll(to, "{"+name+"}", v)
		}
		return to
	}
	return text
}

// match returns the placeholders of a sentence and their values in a text; values is nil if the text is
// another sentence. Placeholders that begin with n are numbers, with d durations, and t is a time of day.
func match(sentence, text string) (names, values []string) {
	literal, _, _ := strings.Cut(sentence, "{")
	if !strings.HasPrefix(text, literal) {
		return nil, nil
	}
	var pattern strings.Builder
	pattern.WriteString("^")
	for rest := sentence; ; {
		before, after, found := strings.Cut(rest, "{")
		pattern.WriteString(regexp.QuoteMeta(before))
		if !found {
			break
		}
		name, tail, _ := strings.Cut(after, "}")
		names, rest = append(names, name), tail
		pattern.WriteString("(" + valuePattern(name) + ")")
	}
	found := regexp.MustCompile(pattern.String() + "$").FindStringSubmatch(text)
	if found == nil {
		return nil, nil
	}
	return names, found[1:]
}

func valuePattern(name string) string {
	if len(name) > 2 {
		return ".+"
	}
	switch name[0] {
	case 'n':
		return `-?[\d.]+(?:e[+-]\d+)?`
	case 'd':
		return `(?:[\d.]+(?:h|ms|m|µs|ns|s))+`
	case 't':
		return `\d\d:\d\d:\d\d`
	default:
		return ".+"
	}
}

// duration translates a time.Duration: "1h30m0s" is "1 小时 30 分".
func duration(text string) string {
	units := map[string]string{"h": "小时", "m": "分", "s": "秒", "ms": "毫秒", "µs": "微秒", "ns": "纳秒"}
	parts := regexp.MustCompile(`([\d.]+)(h|ms|m|µs|ns|s)`).FindAllStringSubmatch(text, -1)
	var all []string
	for _, p := range parts {
		if v, err := strconv.ParseFloat(p[1], 64); err == nil && v == 0 && len(parts) > 1 {
			continue
		}
		all = append(all, p[1]+" "+units[p[2]])
	}
	return strings.Join(all, " ")
}

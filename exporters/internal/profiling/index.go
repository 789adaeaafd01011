// SPDX-License-Identifier: Apache-2.0

package profiling

import (
	"fmt"
	"html"
	"net/http"
	"runtime/pprof"
	"slices"
	"strings"
)

// available returns the profiles that the version of Go has, with a description for a reader.
func available() []struct{ name, about string } {
	all := []struct{ name, about string }{
		{"profile", "where the CPU time goes; seconds=30"},
		{"goroutine", "stacks of all goroutines"},
		{"heap", "live objects by the place that allocated them, as of the last collection"},
		{"allocs", "allocations since the start, as of the last collection"},
		{"block", "where goroutines waited; empty unless the program calls runtime.SetBlockProfileRate"},
		{"mutex", "who held locks that others waited for; empty unless the program calls runtime.SetMutexProfileFraction"},
		{"threadcreate", "stacks that created threads"},
		{leakProfile, "goroutines that can never run again; it starts a garbage collection"},
		{"trace", "execution trace; seconds=1"},
	}
	return slices.DeleteFunc(all, func(p struct{ name, about string }) bool {
		return p.name == leakProfile && pprof.Lookup(leakProfile) == nil
	})
}

// Names returns the names of the profiles that the version of Go has.
func Names() (names []string) {
	for _, p := range available() {
		names = append(names, p.name)
	}
	return names
}

// serveIndex lists the profiles and the commands that read them.
func serveIndex(w http.ResponseWriter, r *http.Request) {
	path, _, _ := strings.Cut(r.RequestURI, "?") // with the prefix that an application may have stripped
	base := "http://" + r.Host + strings.TrimSuffix(path, "/")
	if r.TLS != nil {
		base = "https" + strings.TrimPrefix(base, "http")
	}
	var b strings.Builder
	b.WriteString("<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>gmpulse: profiles</title>\n<h1>Profiles</h1>\n<ul>\n")
	for _, x := range available() {
		count := ""
		if p := pprof.Lookup(x.name); p != nil && x.name != leakProfile {
			count = fmt.Sprintf(" (%d)", p.Count())
		}
		fmt.Fprintf(&b, "<li><a href=\"%[1]s\">%[1]s</a>%[2]s: %[3]s\n", x.name, count, x.about)
	}
	b.WriteString("</ul>\n<h2>Commands</h2>\n<p>Goroutines that run under a root span have its name as the label gmpulse_root. If the agent has a token, write it into the address: http://gmpulse:TOKEN@host.\n<pre>")
	b.WriteString(html.EscapeString(commands(base)))
	b.WriteString("</pre>\n</html>\n")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte(b.String())) // an error means that the client is gone
}

// commands returns the commands that read the profiles below an address.
func commands(base string) string {
	return strings.ReplaceAll(`# CPU by function, and by endpoint (root span)
go tool pprof 'BASE/profile?seconds=30'
go tool pprof -top -tagroot=gmpulse_root 'BASE/profile?seconds=30'

# only one endpoint
go tool pprof -tagfocus='gmpulse_root=GET /cart' 'BASE/profile?seconds=30'

# goroutines by the endpoint under which they were created
go tool pprof -top -tagroot=gmpulse_root 'BASE/goroutine'

# what has grown in ten minutes
curl -so before.pb.gz 'BASE/heap'; sleep 600
go tool pprof -diff_base before.pb.gz 'BASE/heap'

# allocations of the next 30 seconds
go tool pprof 'BASE/allocs?seconds=30'

# execution trace
curl -so trace.out 'BASE/trace?seconds=5'
go tool trace trace.out
gmpulse trace trace.out
`, "BASE", base)
}

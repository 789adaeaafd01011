// SPDX-License-Identifier: Apache-2.0

package host

import (
	"math"
	"path"
	"slices"
	"strings"
	"testing"
)

func TestCountList(t *testing.T) {
	for list, want := range map[string]float64{
		"0": 1, "0-3": 4, "0-1,4,6-7": 5, "65535": 1,
		"": math.NaN(), "3-1": math.NaN(), "0-": math.NaN(), "a": math.NaN(), "0-99999999999": math.NaN(), ",": math.NaN(),
	} {
		if got := countList([]byte(list)); got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Errorf("countList(%q) = %v, want %v", list, got, want)
		}
	}
}

func TestLocate(t *testing.T) {
	at := func(root, point string) mount { return mount{root: root, point: point, controllers: []string{"cpu"}} }
	for name, row := range map[string]struct {
		mounts []mount
		group  string
		want   []string
	}{
		"whole tree":            {[]mount{at("/", "/c")}, "/a/b", []string{"/c/a/b", "/c/a", "/c"}},
		"namespace":             {[]mount{at("/", "/c")}, "/", []string{"/c"}},
		"mounted group":         {[]mount{at("/a", "/c")}, "/a", []string{"/c"}},
		"below mounted group":   {[]mount{at("/a", "/c")}, "/a/b", []string{"/c/b", "/c"}},
		"a name's beginning":    {[]mount{at("/a", "/c")}, "/ab", nil},
		"most of the tree wins": {[]mount{at("/a/b", "/x"), at("/", "/y"), at("/a", "/z")}, "/a/b", []string{"/y/a/b", "/y/a", "/y"}},
		"beside the namespace":  {[]mount{at("/", "/c")}, "/../b", nil},
		"above the namespace":   {[]mount{at("/", "/c")}, "/..", nil},
		"beside, both visible":  {[]mount{at("/..", "/c")}, "/../b", []string{"/c/b", "/c"}},
		"name of step unknown":  {[]mount{at("/..", "/c")}, "/", nil},
		"other controller":      {[]mount{{root: "/", point: "/c", controllers: []string{"memory"}}}, "/", nil},
		"no mounts":             {nil, "/", nil},
	} {
		if got := locate(row.mounts, "cpu", row.group); !slices.Equal(got, row.want) {
			t.Errorf("%s: %q, want %q", name, got, row.want)
		}
	}
}

func TestParseMounts(t *testing.T) {
	got := parseMounts(`30 1 0:1 / /a\040b\134c rw - cgroup cgroup rw,cpu,cpuacct
31 1 0:2 / /over rw - cgroup cgroup rw,memory
32 1 0:3 / /other rw shared:1 - ext4 /dev/vda rw
33 1 0:4 /x /over rw master:9 propagate_from:2 - cgroup2 cgroup2 rw
34 1 0:5 / /cut rw - cgroup`)
	if len(got) != 2 || got[0].point != `/a b\c` || !slices.Contains(got[0].controllers, "cpuacct") ||
		got[1].point != "/over" || got[1].root != "/x" || !slices.Equal(got[1].controllers, []string{unified}) {
		t.Errorf("%+v", got)
	}
}

func TestKeyed(t *testing.T) {
	const text = "oom_kill 7\noom 3\nempty\nempty_too \nsigned -4\ncolon:\t5 kB\n"
	for key, want := range map[string]float64{"oom": 3, "oom_kill": 7, "colon:": 5} {
		if got := keyed([]byte(text), key); got != want {
			t.Errorf("%s is %v, want %v", key, got, want)
		}
	}
	for _, key := range []string{"oo", "empty", "empty_too", "signed", "kill", "colon"} {
		if got := keyed([]byte(text), key); !math.IsNaN(got) {
			t.Errorf("%s is %v, want it absent", key, got)
		}
	}
}

// For any contents nothing panics, every number is absent or not negative, and no directory
// is outside its mount.
func FuzzParsers(f *testing.F) {
	f.Add("4242 (a) b) S 1 1 1 0 -1 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25\n", "/a/b")
	f.Add("some avg10=0.14 avg60=0.28 avg300=2.66 total=12\nfull total=1\n", "/..")
	f.Add("4:cpu,cpuacct:/a/../../b\n0::/x (deleted)\n::/\n", "/a/../..")
	f.Add("31 23 0:28 /.. /m rw - cgroup cgroup rw,cpu\n", "/../a")
	f.Add("nr_periods 1\nnr_throttled 2\n1 2 3\n0-3,7\n", "x")
	f.Fuzz(func(t *testing.T, content, group string) {
		text := []byte(content)
		number := func(what string, vs ...float64) {
			for _, v := range vs {
				if v < 0 || math.IsInf(v, 0) {
					t.Errorf("%s is %v", what, v)
				}
			}
		}
		threads, virtual, rss, _ := parseStat(text)
		number("stat", threads, virtual, rss)
		if wait, ok := parseSchedstat(text); ok {
			number("wait", wait)
		}
		some, full := parsePressure(text)
		number("pressure", some, full, keyed(text, "nr_periods"), countList(text))
		_ = parseGroups(content)
		for _, m := range append(parseMounts(content), mount{root: "/a", point: "/m", controllers: []string{"cpu"}}) {
			dirs := locate([]mount{m}, "cpu", "/"+group)
			if len(dirs) > maxDepth {
				t.Errorf("%d directories", len(dirs))
			}
			point := strings.TrimSuffix(path.Clean(m.point), "/")
			for _, dir := range dirs {
				if dir != path.Clean(m.point) && !strings.HasPrefix(dir, point+"/") {
					t.Errorf("%q is outside of %q", dir, m.point)
				}
			}
		}
	})
}

// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The page has every hint in English, word for word, and in Chinese with the
// same places.
func TestHintsAreTranslated(t *testing.T) {
	source, err := os.ReadFile("../../exporters/page/assets/i18n.js")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(source), "const hints = {")
	block, _, _ = strings.Cut(block, "\n};")
	type pair struct{ english, chinese string }
	page := map[hintID]pair{}
	for _, m := range regexp.MustCompile(`(?m)^  '([a-z-]+)': \['((?:[^'\\]|\\.)*)', '((?:[^'\\]|\\.)*)'\],$`).FindAllStringSubmatch(block, -1) {
		plain := strings.NewReplacer(`\'`, `'`, `\\`, `\`)
		page[hintID(m[1])] = pair{plain.Replace(m[2]), plain.Replace(m[3])}
	}
	places := regexp.MustCompile(`\{\w+\}`)
	for _, h := range hintTable() {
		p, ok := page[h.id]
		switch {
		case !ok:
			t.Errorf("the page does not know the hint %q", h.id)
		case p.english != h.text:
			t.Errorf("hint %q: the page says %q, want %q", h.id, p.english, h.text)
		case !regexp.MustCompile(`\p{Han}`).MatchString(p.chinese):
			t.Errorf("hint %q: %q is not Chinese", h.id, p.chinese)
		}
		for _, place := range places.FindAllString(h.text, -1) {
			if strings.Count(p.chinese, place) != 1 {
				t.Errorf("hint %q: the Chinese text lacks %s", h.id, place)
			}
		}
		delete(page, h.id)
	}
	for id := range page {
		t.Errorf("the page has a hint %q that the agent never gives", id)
	}
}

// Each hint id in the source is in the table, and each entry of the table is used.
func TestHintIDsMatchTheTable(t *testing.T) {
	known := map[hintID]int{}
	for _, h := range hintTable() {
		known[h.id]++
		if known[h.id] > 1 || h.text == "" || strings.HasSuffix(h.text, ".") {
			t.Errorf("hint %q is a duplicate, is empty or ends in a full stop", h.id)
		}
	}
	var source strings.Builder
	for _, file := range []string{"hint.go", "hinttext.go", "signature.go", "role.go"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(b)
	}
	for _, sig := range signatures() {
		if sig.hint != "" && known[sig.hint] == 0 {
			t.Errorf("the hint %q of %q is not in the table", sig.hint, sig.entry+sig.site)
		}
	}
	for function, id := range primitives() {
		if known[id] == 0 {
			t.Errorf("the hint %q of %q is not in the table", id, function)
		}
	}
	for id := range known {
		if strings.Count(source.String(), `"`+string(id)+`"`) < 2 {
			t.Errorf("the hint %q is not used", id)
		}
	}
	for _, m := range regexp.MustCompile(`(?:return |hintOf\(|id [!=]?= ?)"([a-z-]+)"`).FindAllStringSubmatch(source.String(), -1) {
		if known[hintID(m[1])] == 0 {
			t.Errorf("the hint %q is not in the table", m[1])
		}
	}
}

// times sets the number of members of a group.
func times(n int, g *Group) *Group {
	g.Count = n
	return g
}

// The stacks of these tests.
const (
	handler  = " net/http.HandlerFunc.ServeHTTP net/http.serverHandler.ServeHTTP net/http.(*conn).serve"
	producer = "github.com/IBM/sarama.(*asyncProducer).dispatcher github.com/IBM/sarama.withRecover"
	maker    = "github.com/IBM/sarama.newAsyncProducer github.com/IBM/sarama.NewAsyncProducer main.order" + handler
	loop     = "go.uber.org/zap/zapcore.(*BufferedWriteSyncer)."
)

func of(groups ...*Group) []*Group { return groups }

func rest(groups ...*Group) *Survey {
	s := &Survey{}
	for _, g := range groups {
		s.Groups = append(s.Groups, *g)
	}
	return s
}

// textOf returns the text of a hint.
func textOf(id hintID, values ...string) string { return hintOf(id, values...).text }

// hintCases are incidents and their hints.
type hintCases map[string]struct {
	in   hintInput
	want string
}

func (cases hintCases) check(t *testing.T) {
	t.Helper()
	h := newHints(libraries())
	for name, tt := range cases {
		if got := h.hint(tt.in); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}

func TestHintsForLibraries(t *testing.T) {
	hintCases{
		"nothing":                {hintInput{kind: Leak}, ""},
		"load":                   {hintInput{kind: Load, groups: of(waitingIn(ChanSend, "main.notify"))}, ""},
		"pool":                   {hintInput{kind: Pool, groups: of(waitingIn(IO, "net/http.(*persistConn).Read net/http.(*persistConn).readLoop"))}, ""},
		"a library's loop, made": {hintInput{kind: Leak, groups: of(waitingIn(ChanReceive, producer)), creation: frames(maker)}, "github.com/IBM/sarama.NewAsyncProducer, called at main.order (main.order.go:3), starts goroutines that end when the object is closed: close it, or create one and share it"},
		"made through sync.Once": {hintInput{kind: Leak, groups: of(waitingIn(ChanReceive, producer)), creation: frames("github.com/IBM/sarama.NewAsyncProducer sync.(*Once).doSlow sync.(*Once).Do main.order")}, "github.com/IBM/sarama.NewAsyncProducer, called at main.order (main.order.go:4), starts goroutines that end when the object is closed: close it, or create one and share it"},
		"started by a method": {
			hintInput{kind: Leak, groups: of(waitingIn(Select, "github.com/minio/minio-go/v7.(*Client).listObjects.func1")), creation: frames("github.com/minio/minio-go/v7.(*Client).listObjects github.com/minio/minio-go/v7.(*Client).ListObjects main.list")},
			textOf("started", "call", "github.com/minio/minio-go/v7.(*Client).ListObjects", "line", "main.list (main.list.go:3)"),
		},
		"a library's loop":             {hintInput{kind: Leak, groups: of(waitingIn(Select, redisReaper))}, textOf("library", "package", "github.com/go-redis/redis/v8")},
		"a library's loop, of another": {hintInput{kind: Leak, groups: of(waitingIn(Select, redisReaper)), creation: frames("github.com/go-redis/redis/v8/internal/pool.NewConnPool github.com/gin-gonic/gin.f")}, ""},
		"an own loop that a library started": {
			hintInput{kind: Leak, groups: of(waitingIn(ChanReceive, "main.consume github.com/panjf2000/ants/v2.(*goWorker).run.func1")), creation: frames("github.com/panjf2000/ants/v2.(*Pool).Submit main.handle")},
			textOf("receive"),
		},
		"a library's loop, stuck": {hintInput{kind: Stuck, groups: of(waitingIn(ChanReceive, producer)), creation: frames(maker)}, ""},

		"gRPC client":         {hintInput{kind: Leak, groups: of(waitingIn(IO, grpcClientReader))}, textOf("grpc-client")},
		"gRPC handler":        {hintInput{kind: Stuck, groups: of(waitingIn(SelectForever, grpcHandler))}, textOf("forever")},
		"gRPC handler, lock":  {hintInput{kind: Stuck, groups: of(waitingIn(Mutex, strings.Replace(grpcHandler, "main.hang.Check", "main.(*bank).transfer", 1)))}, textOf("lock")},
		"gRPC call":           {hintInput{kind: Stuck, groups: of(waitingIn(Select, grpcCall))}, textOf("upstream")},
		"gRPC stream":         {hintInput{kind: Leak, groups: of(waitingIn(Select, grpcClientStream))}, textOf("grpc-stream")},
		"body in use":         {hintInput{kind: Leak, groups: of(waitingIn(Select, "net/http.(*persistConn).readLoop"))}, textOf("http-body")},
		"idle connections":    {hintInput{kind: Leak, groups: of(waitingIn(Select, "net/http.(*persistConn).writeLoop"), waitingIn(IO, read+"net/http.(*persistConn).Read bufio.(*Reader).fill bufio.(*Reader).Peek net/http.(*persistConn).readLoop"))}, textOf("http-idle")},
		"writers alone":       {hintInput{kind: Leak, groups: of(waitingIn(Select, "net/http.(*persistConn).writeLoop"))}, textOf("http-body")},
		"dials of a client":   {hintInput{kind: Leak, groups: of(waitingIn(IO, "internal/poll.runtime_pollWait net.(*netFD).connect net.(*sysDialer).dialTCP net/http.(*Transport).dial net/http.(*Transport).dialConnFor"))}, textOf("http-dial")},
		"slow, but a body":    {hintInput{kind: Pressure, groups: of(waitingIn(Select, "net/http.(*persistConn).readLoop"))}, ""},
		"openers of sql.DB":   {hintInput{kind: Leak, groups: of(waitingIn(Select, "database/sql.(*DB).connectionOpener"))}, textOf("sql-open")},
		"pool of sql.DB":      {hintInput{kind: Stuck, groups: of(waitingIn(Select, "database/sql.(*DB).conn database/sql.(*DB).query main.user"+handler))}, textOf("sql-pool")},
		"pool of pgx":         {hintInput{kind: Stuck, groups: of(waitingIn(Select, pgxPool+handler))}, textOf("pgx-pool")},
		"pool of redis":       {hintInput{kind: Pressure, groups: of(waitingIn(Select, redisPool+handler))}, textOf("redis-pool")},
		"pool of a kind":      {hintInput{kind: Stuck, groups: of(waitingIn(Select, puddleAcquire+"main.take"))}, textOf("pool")},
		"redis call":          {hintInput{kind: Stuck, groups: of(waitingIn(IO, redisCall+handler))}, textOf("upstream")},
		"second group tells":  {hintInput{kind: Stuck, groups: of(waitingIn(ChanReceive, "main.wait"+handler), waitingIn(Select, pgxPool+handler))}, textOf("pgx-pool")},
		"dial in an own call": {hintInput{kind: Stuck, groups: of(waitingIn(IO, "internal/poll.runtime_pollWait net.(*netFD).connect net.(*sysDialer).doDialTCP net.(*Dialer).DialContext net.Dial main.send"+handler))}, textOf("dial")},
		"DNS in an own call":  {hintInput{kind: Pressure, groups: of(waitingIn(Select, "net.(*Resolver).lookupIPAddr net.(*Resolver).LookupHost main.send"+handler))}, textOf("dns")},
	}.check(t)
}

func TestHintsForWaits(t *testing.T) {
	hintCases{
		"errgroup at its limit": {hintInput{kind: Stuck, groups: of(waitingIn(ChanSend, errgroupLimit))}, textOf("errgroup-limit")},
		"errgroup nested":       {hintInput{kind: Stuck, groups: of(waitingIn(ChanSend, errgroupLimit)), survey: rest(times(4, waitingIn(ChanSend, errgroupNested)))}, textOf("errgroup-nested")},
		"errgroup waits":        {hintInput{kind: Stuck, groups: of(waitingIn(WaitGroup, errgroupWait))}, textOf("errgroup-wait")},
		"semaphore":             {hintInput{kind: Stuck, groups: of(waitingIn(Select, semaphoreAcquire))}, textOf("semaphore")},
		"singleflight":          {hintInput{kind: Stuck, groups: of(waitingIn(WaitGroup, singleflightDo))}, textOf("singleflight")},
		"singleflight's call":   {hintInput{kind: Stuck, groups: of(waitingIn(ChanReceive, singleflightCall))}, textOf("receive")},
		"child process":         {hintInput{kind: Stuck, groups: of(waitingIn(Syscall, "syscall.Syscall6 os.(*Process).blockUntilWaitable os.(*Process).Wait os/exec.(*Cmd).Wait os/exec.(*Cmd).Run main.convert"))}, textOf("process")},
		"pipe, written":         {hintInput{kind: Leak, groups: of(waitingIn(Select, "io.(*pipe).write bufio.(*Writer).Flush encoding/csv.(*Writer).Write main.export"))}, textOf("pipe-write")},
		"pipe, read":            {hintInput{kind: Leak, groups: of(waitingIn(Select, "io.(*pipe).read io.ReadAll main.upload"))}, textOf("pipe-read")},

		"one lock, held":                     {hintInput{kind: Stuck, groups: of(times(400, waitingIn(Mutex, "main.(*shop).buy"+handler))), survey: rest(times(1, waitingIn(Select, "example.com/api.call main.(*shop).buy"+handler)))}, textOf("lock-holder", "holder", "select at example.com/api.call (api.call.go:3)")},
		"a lock for each":                    {hintInput{kind: Leak, groups: of(times(2740, waitingIn(Mutex, loop+"Sync "+loop+"flushLoop")), times(2740, waitingIn(ChanReceive, loop+"Stop.func1 "+loop+"Stop")))}, textOf("lock-pair", "holder", "chan receive at go.uber.org/zap/zapcore.(*BufferedWriteSyncer).Stop.func1 (zapcore.(*BufferedWriteSyncer).Stop.func1.go:4)")},
		"a lock for each, led by the holder": {hintInput{kind: Leak, groups: of(times(2740, waitingIn(ChanReceive, loop+"Stop.func1 "+loop+"Stop")), times(2740, waitingIn(Mutex, loop+"Sync "+loop+"flushLoop")))}, textOf("lock-pair", "holder", "chan receive at go.uber.org/zap/zapcore.(*BufferedWriteSyncer).Stop.func1 (zapcore.(*BufferedWriteSyncer).Stop.func1.go:4)")},
		"a lock and another wait":            {hintInput{kind: Leak, groups: of(waitingIn(ChanSend, "main.notify"), waitingIn(Mutex, "main.(*shop).buy"))}, textOf("send")},
		"locks, few of another":              {hintInput{kind: Leak, groups: of(times(2740, waitingIn(Mutex, loop+"Sync "+loop+"flushLoop")), times(3, waitingIn(ChanReceive, loop+"Stop")))}, textOf("lock")},
		"many locks, no holder":              {hintInput{kind: Leak, groups: of(times(2740, waitingIn(Mutex, "main.(*shop).buy")))}, textOf("lock")},
		"lock, slow":                         {hintInput{kind: Pressure, groups: of(waitingIn(Mutex, "main.(*shop).buy"+handler))}, textOf("lock-slow")},

		"send":              {hintInput{kind: Leak, groups: of(waitingIn(ChanSend, "main.notify"))}, textOf("send")},
		"send, slow":        {hintInput{kind: Pressure, groups: of(waitingIn(ChanSend, "main.notify"))}, ""},
		"receive":           {hintInput{kind: Leak, groups: of(waitingIn(ChanReceive, "main.watch"))}, textOf("receive")},
		"ticker":            {hintInput{kind: Leak, groups: of(waitingIn(ChanReceive, "main.watch")), where: Site{Function: "main.endlessTicker"}}, textOf("ticker")},
		"select":            {hintInput{kind: Leak, groups: of(waitingIn(Select, "main.watch"))}, textOf("select")},
		"sleep":             {hintInput{kind: Leak, groups: of(waitingIn(Sleep, "time.Sleep main.watch"))}, textOf("sleep")},
		"handler sleeps":    {hintInput{kind: Stuck, groups: of(waitingIn(Sleep, "time.Sleep main.watch"+handler))}, textOf("retry")},
		"retries":           {hintInput{kind: Pressure, groups: of(waitingIn(Select, retry))}, textOf("retry")},
		"retried call":      {hintInput{kind: Stuck, groups: of(waitingIn(Select, retriedCall))}, textOf("upstream")},
		"cond":              {hintInput{kind: Leak, groups: of(waitingIn(Cond, "main.(*queue).pop"))}, textOf("cond")},
		"wait group":        {hintInput{kind: Stuck, groups: of(waitingIn(WaitGroup, "main.fanOut"+handler))}, textOf("wait-group")},
		"peer":              {hintInput{kind: Leak, groups: of(waitingIn(IO, read+"bufio.(*Reader).fill main.serve"))}, textOf("peer")},
		"a library's call":  {hintInput{kind: Stuck, groups: of(waitingIn(Select, "github.com/segmentio/kafka-go.(*Reader).FetchMessage main.next"+handler))}, textOf("call", "call", "github.com/segmentio/kafka-go.(*Reader).FetchMessage")},
		"running":           {hintInput{kind: Pressure, groups: of(waitingIn(Running, "main.spin"))}, ""},
		"escapes in a name": {hintInput{kind: Leak, groups: of(waitingIn(Select, "github.com/nats-io/nats%2ego.(*Conn).flusher"))}, textOf("library", "package", "github.com/nats-io/nats.go")},
	}.check(t)
}

// libraries is a program that links all libraries in the stacks of these tests.
func libraries() program {
	p := programOf(shop())
	for _, module := range []string{
		"github.com/minio/minio-go/v7", "github.com/go-redis/redis/v8", "github.com/redis/go-redis/v9", "github.com/gin-gonic/gin", "github.com/panjf2000/ants/v2",
		"google.golang.org/grpc", "go.uber.org/zap", "github.com/segmentio/kafka-go", "github.com/jackc/pgx/v5", "github.com/jackc/puddle/v2", "golang.org/x/sync",
		"github.com/valyala/fasthttp", "github.com/cenkalti/backoff/v4", "example.com/api",
	} {
		p.modules[module] = ofLibrary
	}
	return p
}

// Without build info libraries are unknown, and no hint is about one.
func TestHintsWithoutBuildInfo(t *testing.T) {
	h := newHints(programOf(nil))
	for _, tt := range []struct {
		in   hintInput
		want string
	}{
		{hintInput{kind: Leak, groups: []*Group{waitingIn(ChanSend, "example.com/shop/cart.notify")}}, textOf("send")},
		{hintInput{kind: Leak, groups: []*Group{waitingIn(Select, redisReaper)}}, textOf("select")},
		{hintInput{kind: Stuck, groups: []*Group{waitingIn(Select, pgxPool)}}, textOf("pgx-pool")},
	} {
		if got := h.hint(tt.in); got != tt.want {
			t.Errorf("%v: got %q, want %q", tt.in.groups[0].Key, got, tt.want)
		}
	}
}

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

// Names of hints are used as strings: each must be in the table, once, and each
// entry of the table must be given by something.
func TestHintsAreInTheTable(t *testing.T) {
	known := map[hintID]int{}
	for _, h := range hintTable() {
		known[h.id]++
		if known[h.id] > 1 || h.text == "" || strings.HasSuffix(h.text, ".") {
			t.Errorf("hint %q is there twice, is empty or ends in a full stop", h.id)
		}
	}
	var source strings.Builder
	for _, file := range []string{"hint.go", "signature.go", "role.go"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(b)
	}
	for _, sig := range signatures() {
		if sig.advice != "" && known[sig.advice] == 0 {
			t.Errorf("the hint %q of %q is not in the table", sig.advice, sig.entry+sig.site)
		}
	}
	for id := range known {
		if strings.Count(source.String(), `"`+string(id)+`"`) < 2 {
			t.Errorf("nothing gives the hint %q", id)
		}
	}
	for _, m := range regexp.MustCompile(`(?:return|advice\{(?:id: )?|id [!=]?= ) ?"([a-z-]+)"`).FindAllStringSubmatch(source.String(), -1) {
		if known[hintID(m[1])] == 0 {
			t.Errorf("the hint %q is not in the table", m[1])
		}
	}
}

// times returns a group with so many members.
func times(n int, g *Group) *Group {
	g.Count = n
	return g
}

func TestHints(t *testing.T) {
	const (
		handler  = " net/http.HandlerFunc.ServeHTTP net/http.serverHandler.ServeHTTP net/http.(*conn).serve"
		producer = "github.com/IBM/sarama.(*asyncProducer).dispatcher github.com/IBM/sarama.withRecover"
		maker    = "github.com/IBM/sarama.newAsyncProducer github.com/IBM/sarama.NewAsyncProducer main.order" + handler
		loop     = "go.uber.org/zap/zapcore.(*BufferedWriteSyncer)."
	)
	group := waitingIn
	of := func(groups ...*Group) []*Group { return groups }
	rest := func(groups ...*Group) *Survey {
		s := &Survey{}
		for _, g := range groups {
			s.Groups = append(s.Groups, *g)
		}
		return s
	}
	for name, tt := range map[string]struct {
		in   hintInput
		want string
	}{
		"nothing":                {hintInput{kind: Leak}, ""},
		"load":                   {hintInput{kind: Load, groups: of(group(ChanSend, "main.notify"))}, ""},
		"pool":                   {hintInput{kind: Pool, groups: of(group(IO, "net/http.(*persistConn).Read net/http.(*persistConn).readLoop"))}, ""},
		"a library's loop, made": {hintInput{kind: Leak, groups: of(group(ChanReceive, producer)), creation: frames(maker)}, "github.com/IBM/sarama.NewAsyncProducer, called at main.order (main.order.go:3), starts goroutines that end when the object is closed: close it, or make one and share it"},
		"made through sync.Once": {hintInput{kind: Leak, groups: of(group(ChanReceive, producer)), creation: frames("github.com/IBM/sarama.NewAsyncProducer sync.(*Once).doSlow sync.(*Once).Do main.order")}, "github.com/IBM/sarama.NewAsyncProducer, called at main.order (main.order.go:4), starts goroutines that end when the object is closed: close it, or make one and share it"},
		"started by a method": {
			hintInput{kind: Leak, groups: of(group(Select, "github.com/minio/minio-go/v7.(*Client).listObjects.func1")), creation: frames("github.com/minio/minio-go/v7.(*Client).listObjects github.com/minio/minio-go/v7.(*Client).ListObjects main.list")},
			say("started", "call", "github.com/minio/minio-go/v7.(*Client).ListObjects", "line", "main.list (main.list.go:3)"),
		},
		"a library's loop":             {hintInput{kind: Leak, groups: of(group(Select, redisReaper))}, say("library", "package", "github.com/go-redis/redis/v8")},
		"a library's loop, of another": {hintInput{kind: Leak, groups: of(group(Select, redisReaper)), creation: frames("github.com/go-redis/redis/v8/internal/pool.NewConnPool github.com/gin-gonic/gin.f")}, ""},
		"an own loop that a library started": {
			hintInput{kind: Leak, groups: of(group(ChanReceive, "main.consume github.com/panjf2000/ants/v2.(*goWorker).run.func1")), creation: frames("github.com/panjf2000/ants/v2.(*Pool).Submit main.handle")},
			say("receive"),
		},
		"a library's loop, stuck": {hintInput{kind: Stuck, groups: of(group(ChanReceive, producer)), creation: frames(maker)}, ""},

		"gRPC client":         {hintInput{kind: Leak, groups: of(group(IO, grpcClientReader))}, say("grpc-client")},
		"gRPC handler":        {hintInput{kind: Stuck, groups: of(group(SelectForever, grpcHandler))}, say("forever")},
		"gRPC handler, lock":  {hintInput{kind: Stuck, groups: of(group(Mutex, strings.Replace(grpcHandler, "main.hang.Check", "main.(*bank).transfer", 1)))}, say("lock")},
		"gRPC call":           {hintInput{kind: Stuck, groups: of(group(Select, grpcCall))}, say("upstream")},
		"gRPC stream":         {hintInput{kind: Leak, groups: of(group(Select, grpcClientStream))}, say("grpc-stream")},
		"body in use":         {hintInput{kind: Leak, groups: of(group(Select, "net/http.(*persistConn).readLoop"))}, say("http-body")},
		"idle connections":    {hintInput{kind: Leak, groups: of(group(Select, "net/http.(*persistConn).writeLoop"), group(IO, read+"net/http.(*persistConn).Read bufio.(*Reader).fill bufio.(*Reader).Peek net/http.(*persistConn).readLoop"))}, say("http-idle")},
		"writers alone":       {hintInput{kind: Leak, groups: of(group(Select, "net/http.(*persistConn).writeLoop"))}, say("http-body")},
		"dials of a client":   {hintInput{kind: Leak, groups: of(group(IO, "internal/poll.runtime_pollWait net.(*netFD).connect net.(*sysDialer).dialTCP net/http.(*Transport).dial net/http.(*Transport).dialConnFor"))}, say("http-dial")},
		"slow, but a body":    {hintInput{kind: Pressure, groups: of(group(Select, "net/http.(*persistConn).readLoop"))}, ""},
		"openers of sql.DB":   {hintInput{kind: Leak, groups: of(group(Select, "database/sql.(*DB).connectionOpener"))}, say("sql-open")},
		"pool of sql.DB":      {hintInput{kind: Stuck, groups: of(group(Select, "database/sql.(*DB).conn database/sql.(*DB).query main.user"+handler))}, say("sql-pool")},
		"pool of pgx":         {hintInput{kind: Stuck, groups: of(group(Select, pgxPool+handler))}, say("pgx-pool")},
		"pool of redis":       {hintInput{kind: Pressure, groups: of(group(Select, redisPool+handler))}, say("redis-pool")},
		"pool of a kind":      {hintInput{kind: Stuck, groups: of(group(Select, puddleAcquire+"main.take"))}, say("pool")},
		"redis call":          {hintInput{kind: Stuck, groups: of(group(IO, redisCall+handler))}, say("upstream")},
		"second group tells":  {hintInput{kind: Stuck, groups: of(group(ChanReceive, "main.wait"+handler), group(Select, pgxPool+handler))}, say("pgx-pool")},
		"dial in an own call": {hintInput{kind: Stuck, groups: of(group(IO, "internal/poll.runtime_pollWait net.(*netFD).connect net.(*sysDialer).doDialTCP net.(*Dialer).DialContext net.Dial main.send"+handler))}, say("dial")},
		"DNS in an own call":  {hintInput{kind: Pressure, groups: of(group(Select, "net.(*Resolver).lookupIPAddr net.(*Resolver).LookupHost main.send"+handler))}, say("dns")},

		"errgroup at its limit": {hintInput{kind: Stuck, groups: of(group(ChanSend, errgroupLimit))}, say("errgroup-limit")},
		"errgroup nested":       {hintInput{kind: Stuck, groups: of(group(ChanSend, errgroupLimit)), survey: rest(times(4, group(ChanSend, errgroupNested)))}, say("errgroup-nested")},
		"errgroup waits":        {hintInput{kind: Stuck, groups: of(group(WaitGroup, errgroupWait))}, say("errgroup-wait")},
		"semaphore":             {hintInput{kind: Stuck, groups: of(group(Select, semaphoreAcquire))}, say("semaphore")},
		"singleflight":          {hintInput{kind: Stuck, groups: of(group(WaitGroup, singleflightDo))}, say("singleflight")},
		"singleflight's call":   {hintInput{kind: Stuck, groups: of(group(ChanReceive, singleflightCall))}, say("receive")},
		"child process":         {hintInput{kind: Stuck, groups: of(group(Syscall, "syscall.Syscall6 os.(*Process).blockUntilWaitable os.(*Process).Wait os/exec.(*Cmd).Wait os/exec.(*Cmd).Run main.convert"))}, say("process")},
		"pipe, written":         {hintInput{kind: Leak, groups: of(group(Select, "io.(*pipe).write bufio.(*Writer).Flush encoding/csv.(*Writer).Write main.export"))}, say("pipe-write")},
		"pipe, read":            {hintInput{kind: Leak, groups: of(group(Select, "io.(*pipe).read io.ReadAll main.upload"))}, say("pipe-read")},

		"one lock, held":                       {hintInput{kind: Stuck, groups: of(times(400, group(Mutex, "main.(*shop).buy"+handler))), survey: rest(times(1, group(Select, "example.com/api.call main.(*shop).buy"+handler)))}, say("lock-holder", "holder", "select at example.com/api.call (api.call.go:3)")},
		"a lock for each":                      {hintInput{kind: Leak, groups: of(times(2740, group(Mutex, loop+"Sync "+loop+"flushLoop")), times(2740, group(ChanReceive, loop+"Stop.func1 "+loop+"Stop")))}, say("lock-pair", "holder", "chan receive at go.uber.org/zap/zapcore.(*BufferedWriteSyncer).Stop.func1 (zapcore.(*BufferedWriteSyncer).Stop.func1.go:4)")},
		"a lock for each, led by who holds it": {hintInput{kind: Leak, groups: of(times(2740, group(ChanReceive, loop+"Stop.func1 "+loop+"Stop")), times(2740, group(Mutex, loop+"Sync "+loop+"flushLoop")))}, say("lock-pair", "holder", "chan receive at go.uber.org/zap/zapcore.(*BufferedWriteSyncer).Stop.func1 (zapcore.(*BufferedWriteSyncer).Stop.func1.go:4)")},
		"a lock beside something else":         {hintInput{kind: Leak, groups: of(group(ChanSend, "main.notify"), group(Mutex, "main.(*shop).buy"))}, say("send")},
		"locks, few of another":                {hintInput{kind: Leak, groups: of(times(2740, group(Mutex, loop+"Sync "+loop+"flushLoop")), times(3, group(ChanReceive, loop+"Stop")))}, say("lock")},
		"many locks, no holder":                {hintInput{kind: Leak, groups: of(times(2740, group(Mutex, "main.(*shop).buy")))}, say("lock")},
		"lock, slow":                           {hintInput{kind: Pressure, groups: of(group(Mutex, "main.(*shop).buy"+handler))}, say("lock-slow")},

		"send":              {hintInput{kind: Leak, groups: of(group(ChanSend, "main.notify"))}, say("send")},
		"send, slow":        {hintInput{kind: Pressure, groups: of(group(ChanSend, "main.notify"))}, ""},
		"receive":           {hintInput{kind: Leak, groups: of(group(ChanReceive, "main.watch"))}, say("receive")},
		"ticker":            {hintInput{kind: Leak, groups: of(group(ChanReceive, "main.watch")), where: Site{Function: "main.endlessTicker"}}, say("ticker")},
		"select":            {hintInput{kind: Leak, groups: of(group(Select, "main.watch"))}, say("select")},
		"sleep":             {hintInput{kind: Leak, groups: of(group(Sleep, "time.Sleep main.watch"))}, say("sleep")},
		"handler sleeps":    {hintInput{kind: Stuck, groups: of(group(Sleep, "time.Sleep main.watch"+handler))}, say("retry")},
		"retries":           {hintInput{kind: Pressure, groups: of(group(Select, retry))}, say("retry")},
		"retried call":      {hintInput{kind: Stuck, groups: of(group(Select, retriedCall))}, say("upstream")},
		"cond":              {hintInput{kind: Leak, groups: of(group(Cond, "main.(*queue).pop"))}, say("cond")},
		"wait group":        {hintInput{kind: Stuck, groups: of(group(WaitGroup, "main.fanOut"+handler))}, say("wait-group")},
		"peer":              {hintInput{kind: Leak, groups: of(group(IO, read+"bufio.(*Reader).fill main.serve"))}, say("peer")},
		"a library's call":  {hintInput{kind: Stuck, groups: of(group(Select, "github.com/segmentio/kafka-go.(*Reader).FetchMessage main.next"+handler))}, say("call", "call", "github.com/segmentio/kafka-go.(*Reader).FetchMessage")},
		"running":           {hintInput{kind: Pressure, groups: of(group(Running, "main.spin"))}, ""},
		"escapes in a name": {hintInput{kind: Leak, groups: of(group(Select, "github.com/nats-io/nats%2ego.(*Conn).flusher"))}, say("library", "package", "github.com/nats-io/nats.go")},
	} {
		h := newHints(libraries())
		if got := h.hint(tt.in); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}

// libraries is a program that links what the stacks of these tests have.
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

// Without build info nobody knows what is a library: no hint says so.
func TestHintsWithoutBuildInfo(t *testing.T) {
	h := newHints(programOf(nil))
	for _, tt := range []struct {
		in   hintInput
		want string
	}{
		{hintInput{kind: Leak, groups: []*Group{waitingIn(ChanSend, "example.com/shop/cart.notify")}}, say("send")},
		{hintInput{kind: Leak, groups: []*Group{waitingIn(Select, redisReaper)}}, say("select")},
		{hintInput{kind: Stuck, groups: []*Group{waitingIn(Select, pgxPool)}}, say("pgx-pool")},
	} {
		if got := h.hint(tt.in); got != tt.want {
			t.Errorf("%v: got %q, want %q", tt.in.groups[0].Key, got, tt.want)
		}
	}
}

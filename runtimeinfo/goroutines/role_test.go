// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Stacks of goroutines of libraries that this module does not import, leaf first, without the
// frames of the runtime. waitingIn adds these.
const (
	read = "internal/poll.runtime_pollWait internal/poll.(*pollDesc).wait internal/poll.(*pollDesc).waitRead internal/poll.(*FD).Read net.(*netFD).Read net.(*conn).Read "

	grpcHandler       = "main.hang.Check google.golang.org/grpc/health/grpc_health_v1._Health_Check_Handler google.golang.org/grpc.(*Server).register.(*Server).wrapUnaryHandler.func1 google.golang.org/grpc.(*Server).processRPC google.golang.org/grpc.(*Server).handleStream google.golang.org/grpc.(*Server).serveStreams.func2.1"
	grpcWorker        = grpcHandler + " google.golang.org/grpc.(*Server).serverWorker"
	grpcIdleWorker    = "google.golang.org/grpc.(*Server).serverWorker"
	grpcServerReader  = "internal/poll.runtime_pollWait internal/poll.(*FD).RawRead net.(*rawConn).Read google.golang.org/grpc/internal/transport/readyreader.(*nonBlockingReader).ReadOnReady google.golang.org/grpc/internal/transport/readyreader.(*bufReadyReader).Read io.ReadAtLeast io.ReadFull golang.org/x/net/http2.readFrameHeader golang.org/x/net/http2.(*Framer).ReadFrameHeader google.golang.org/grpc/internal/transport.(*framer).readFrame google.golang.org/grpc/internal/transport.(*http2Server).HandleStreams google.golang.org/grpc.(*Server).serveStreams google.golang.org/grpc.(*Server).handleRawConn.func1"
	grpcClientReader  = "internal/poll.runtime_pollWait internal/poll.(*FD).RawRead net.(*rawConn).Read google.golang.org/grpc/internal/transport/readyreader.(*nonBlockingReader).ReadOnReady google.golang.org/grpc/internal/transport/readyreader.(*bufReadyReader).Read io.ReadAtLeast io.ReadFull golang.org/x/net/http2.readFrameHeader golang.org/x/net/http2.(*Framer).ReadFrameHeader google.golang.org/grpc/internal/transport.(*framer).readFrame google.golang.org/grpc/internal/transport.(*http2Client).reader"
	grpcCall          = "google.golang.org/grpc/internal/transport.(*ClientStream).waitOnHeader google.golang.org/grpc/internal/transport.(*ClientStream).RecvCompress google.golang.org/grpc.(*csAttempt).recvMsg google.golang.org/grpc.(*clientStream).RecvMsg.func1 google.golang.org/grpc.(*clientStream).withRetry google.golang.org/grpc.(*clientStream).RecvMsg google.golang.org/grpc.(*clientStreamWrapper).RecvMsg google.golang.org/grpc.invoke google.golang.org/grpc.(*ClientConn).Invoke google.golang.org/grpc/health/grpc_health_v1.(*healthClient).Check main.check"
	grpcClientStream  = "google.golang.org/grpc.newClientStreamWithParams.func4"
	fasthttpHandler   = "main.main.func2 github.com/valyala/fasthttp.(*Server).serveConnCounted github.com/valyala/fasthttp.(*Server).serveConn github.com/valyala/fasthttp.(*workerPool).workerFunc github.com/valyala/fasthttp.(*workerPool).getCh.func1"
	fasthttpIdle      = read + "bufio.(*Reader).fill bufio.(*Reader).Peek github.com/valyala/fasthttp.(*Server).serveConnCounted github.com/valyala/fasthttp.(*Server).serveConn github.com/valyala/fasthttp.(*workerPool).workerFunc github.com/valyala/fasthttp.(*workerPool).getCh.func1"
	fasthttpCall      = read + "bufio.(*Reader).fill bufio.(*Reader).Peek github.com/valyala/fasthttp.(*ResponseHeader).tryRead github.com/valyala/fasthttp.(*ResponseHeader).Read github.com/valyala/fasthttp.(*Response).ReadLimitBody github.com/valyala/fasthttp.(*transport).RoundTrip github.com/valyala/fasthttp.(*HostClient).doNonNilReqResp github.com/valyala/fasthttp.(*HostClient).do github.com/valyala/fasthttp.(*HostClient).Do github.com/valyala/fasthttp.(*Client).Do main.prices github.com/valyala/fasthttp.(*Server).serveConnCounted github.com/valyala/fasthttp.(*Server).serveConn github.com/valyala/fasthttp.(*workerPool).workerFunc github.com/valyala/fasthttp.(*workerPool).getCh.func1"
	fasthttpCleaner   = "time.Sleep github.com/valyala/fasthttp.(*HostClient).connsCleaner"
	fasthttpPool      = "time.Sleep github.com/valyala/fasthttp.(*workerPool).Start.func2"
	redisCall         = read + "bufio.(*Reader).fill bufio.(*Reader).Peek github.com/redis/go-redis/v9/internal/proto.(*Reader).PeekReplyType github.com/redis/go-redis/v9.(*baseClient)._process.func1.3 github.com/redis/go-redis/v9/internal/pool.(*Conn).WithReader github.com/redis/go-redis/v9.(*baseClient)._process.func1 github.com/redis/go-redis/v9.(*baseClient).withConn github.com/redis/go-redis/v9.(*baseClient)._process github.com/redis/go-redis/v9.(*Client).Process github.com/redis/go-redis/v9.cmdable.Get main.cart"
	redisPool         = "github.com/redis/go-redis/v9/internal.(*FastSemaphore).Acquire github.com/redis/go-redis/v9/internal/pool.(*ConnPool).waitTurn github.com/redis/go-redis/v9/internal/pool.(*ConnPool).getConn github.com/redis/go-redis/v9/internal/pool.(*ConnPool).Get github.com/redis/go-redis/v9.(*baseClient)._getConn github.com/redis/go-redis/v9.(*baseClient).withConn github.com/redis/go-redis/v9.(*Client).Process github.com/redis/go-redis/v9.cmdable.Get main.cart"
	redisSubscription = read + "bufio.(*Reader).fill bufio.(*Reader).Peek github.com/redis/go-redis/v9/internal/proto.(*Reader).PeekReplyType github.com/redis/go-redis/v9.(*PubSub).ReceiveTimeout.func1 github.com/redis/go-redis/v9/internal/pool.(*Conn).WithReader github.com/redis/go-redis/v9.(*PubSub).ReceiveTimeout github.com/redis/go-redis/v9.(*PubSub).Receive github.com/redis/go-redis/v9.(*channel).initMsgChan.func1"
	redisReaper       = "github.com/go-redis/redis/v8/internal/pool.(*ConnPool).reaper"
	puddleAcquire     = "golang.org/x/sync/semaphore.(*Weighted).Acquire github.com/jackc/puddle/v2.(*Pool[go.shape.*uint8]).acquire github.com/jackc/puddle/v2.(*Pool[go.shape.*uint8]).Acquire "
	pgxPool           = puddleAcquire + "github.com/jackc/pgx/v5/pgxpool.(*Pool).Acquire github.com/jackc/pgx/v5/pgxpool.(*Pool).Query main.user"
	limiter           = "golang.org/x/time/rate.(*Limiter).wait golang.org/x/time/rate.(*Limiter).WaitN golang.org/x/time/rate.(*Limiter).Wait main.poll"
	retry             = "github.com/cenkalti/backoff/v4.doRetryNotify[go.shape.struct {}] github.com/cenkalti/backoff/v4.RetryNotifyWithTimer github.com/cenkalti/backoff/v4.RetryNotify github.com/cenkalti/backoff/v4.Retry main.deliver"
	retriedCall       = "net/http.(*persistConn).roundTrip net/http.(*Transport).roundTrip net/http.(*Transport).RoundTrip net/http.send net/http.(*Client).send net/http.(*Client).do net/http.(*Client).Do main.post github.com/cenkalti/backoff/v4.doRetryNotify[go.shape.struct {}] github.com/cenkalti/backoff/v4.Retry main.deliver"
	errgroupLimit     = "golang.org/x/sync/errgroup.(*Group).Go main.report net/http.HandlerFunc.ServeHTTP net/http.serverHandler.ServeHTTP net/http.(*conn).serve"
	errgroupNested    = "golang.org/x/sync/errgroup.(*Group).Go main.report.func1 golang.org/x/sync/errgroup.(*Group).Go.func1"
	errgroupWait      = "golang.org/x/sync/errgroup.(*Group).Wait main.report"
	semaphoreAcquire  = "golang.org/x/sync/semaphore.(*Weighted).Acquire main.convert"
	singleflightDo    = "golang.org/x/sync/singleflight.(*Group).Do main.cached"
	singleflightCall  = "main.load golang.org/x/sync/singleflight.(*Group).doCall.func2 golang.org/x/sync/singleflight.(*Group).doCall golang.org/x/sync/singleflight.(*Group).Do main.cached"
)

// waitingIn returns a group of a class with a stack from the constants above.
func waitingIn(class WaitClass, functions string) *Group {
	top := map[WaitClass]string{
		ChanSend: "runtime.gopark runtime.chansend runtime.chansend1 ", ChanReceive: "runtime.gopark runtime.chanrecv runtime.chanrecv1 ",
		Select: "runtime.gopark runtime.selectgo ", SelectForever: "runtime.gopark runtime.block ", IO: "runtime.gopark runtime.netpollblock ",
		Mutex:     "runtime.gopark runtime.semacquire1 internal/sync.runtime_SemacquireMutex internal/sync.(*Mutex).lockSlow sync.(*Mutex).Lock ",
		WaitGroup: "runtime.gopark runtime.semacquire1 sync.runtime_SemacquireWaitGroup sync.(*WaitGroup).Wait ", Cond: "runtime.gopark sync.runtime_notifyListWait sync.(*Cond).Wait ",
		Sleep: "runtime.gopark ", Running: "",
	}[class]
	stack := frames(top + functions)
	return &Group{Key: keyOf(stack), Count: 30, Stack: stack}
}

// roles are the results of all functions in role.go.
type roles struct{ handler, call, wakes, pool, connection bool }

func rolesOf(g *Group) roles {
	sig, _ := signatureOf(signatures(), g)
	return roles{handlesRequest(g), outgoingCall(g), selfWaking(g), waitsForPool(g), sig.kind == Connections}
}

func TestRolesInLibraries(t *testing.T) {
	for name, tt := range map[string]struct {
		class WaitClass
		stack string
		want  roles
	}{
		"gRPC handler":                 {SelectForever, grpcHandler, roles{handler: true}},
		"gRPC handler of a worker":     {SelectForever, grpcWorker, roles{handler: true}},
		"gRPC idle worker":             {ChanReceive, grpcIdleWorker, roles{}},
		"gRPC reader of a server":      {IO, grpcServerReader, roles{connection: true}},
		"gRPC reader of a client":      {IO, grpcClientReader, roles{}},
		"gRPC call":                    {Select, grpcCall, roles{call: true}},
		"gRPC stream's helper":         {Select, grpcClientStream, roles{}},
		"fasthttp handler":             {SelectForever, fasthttpHandler, roles{handler: true}},
		"fasthttp handler, running":    {Running, fasthttpHandler, roles{handler: true, connection: true}}, // their site is the entry
		"fasthttp between requests":    {IO, fasthttpIdle, roles{connection: true}},
		"fasthttp handler that calls":  {IO, fasthttpCall, roles{handler: true, call: true}},
		"fasthttp client's cleaner":    {Sleep, fasthttpCleaner, roles{wakes: true}},
		"fasthttp workers' cleaner":    {Sleep, fasthttpPool, roles{wakes: true}},
		"redis call":                   {IO, redisCall, roles{call: true}},
		"redis pool":                   {Select, redisPool, roles{pool: true}},
		"redis subscription":           {IO, redisSubscription, roles{}},
		"redis reaper":                 {Select, redisReaper, roles{}},
		"pgx pool":                     {Select, pgxPool, roles{pool: true}},
		"puddle":                       {Select, puddleAcquire + "main.take", roles{pool: true}},
		"mongo pool":                   {Select, "go.mongodb.org/mongo-driver/x/mongo/driver/topology.(*pool).checkOut go.mongodb.org/mongo-driver/x/mongo/driver/topology.(*Server).Connection go.mongodb.org/mongo-driver/x/mongo/driver.Operation.Execute main.profile", roles{pool: true, call: true}},
		"semaphore":                    {Select, semaphoreAcquire, roles{}},
		"rate limiter":                 {Select, limiter, roles{wakes: true}},
		"pause before another attempt": {Select, retry, roles{wakes: true}},
		"call that is tried again":     {Select, retriedCall, roles{call: true}},
		"sleep":                        {Sleep, "time.Sleep main.poll", roles{wakes: true}},
		"database/sql dials":           {IO, read + "example.com/driver.(*Conn).handshake database/sql.(*DB).conn database/sql.(*DB).query main.user", roles{}},
		"not begun":                    {Running, "net/http.(*Server).Serve.gowrap3", roles{}},
		"HTTP handler, running":        {Running, "main.handle net/http.HandlerFunc.ServeHTTP net/http.(*conn).serve", roles{handler: true, connection: true}},
		"http.Transport before 1.27":   {IO, read + "crypto/tls.(*Conn).Read io.ReadFull net/http.http2readFrameHeader net/http.(*http2clientConnReadLoop).run net/http.(*http2ClientConn).readLoop", roles{}},
		"http.Transport of 1.27":       {IO, read + "crypto/tls.(*Conn).Read io.ReadFull net/http/internal/http2.readFrameHeader net/http/internal/http2.(*clientConnReadLoop).run net/http/internal/http2.(*ClientConn).readLoop", roles{}},
	} {
		g := waitingIn(tt.class, tt.stack)
		if got := rolesOf(g); got != tt.want {
			t.Errorf("%s: %v: got %+v, want %+v", name, g.Key, got, tt.want)
		}
		if sig, _ := signatureOf(signatures(), g); servesConnection(g.Entry) && sig.hint != "" {
			t.Errorf("%s: a goroutine of a server has a hint about clients: %q", name, sig.hint)
		}
	}
}

// eachGroup takes surveys until one contains a group for each condition.
func eachGroup(t *testing.T, conditions map[string]func(*Group) bool) {
	t.Helper()
	surveyor := NewSurveyor(SurveyConfig{})
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		s, err := surveyor.Take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		missing := map[string]bool{}
		for name, is := range conditions {
			missing[name] = true
			for i := range s.Groups {
				if is(&s.Groups[i]) {
					delete(missing, name)
				}
			}
		}
		if len(missing) == 0 {
			return
		}
		if time.Now().After(deadline) {
			for i := range s.Groups {
				t.Logf("%d %v: %+v", s.Groups[i].Count, s.Groups[i].Key, rolesOf(&s.Groups[i]))
			}
			t.Fatalf("missing: %v", missing)
		}
	}
}

func TestRolesInHTTP(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		t.Run(map[bool]string{false: "HTTP/1.1", true: "HTTP/2"}[http2], func(t *testing.T) { rolesInHTTP(t, http2) })
	}
}

func rolesInHTTP(t *testing.T, http2 bool) {
	t.Helper()
	stop := make(chan struct{})
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/quick" {
			return
		}
		if r.URL.Path == "/body" {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
		}
		<-stop
	}))
	srv.EnableHTTP2 = http2
	srv.StartTLS()
	defer srv.Close()
	var done sync.WaitGroup
	defer done.Wait()
	defer close(stop)
	get := func(path string) {
		resp, err := srv.Client().Get(srv.URL + path)
		if err != nil {
			return
		}
		defer resp.Body.Close()
		_, _ = io.ReadAll(resp.Body)
	}
	get("/quick")
	done.Go(func() { get("/wait") })
	done.Go(func() { get("/body") })
	here := func(g *Group) bool { return strings.Contains(g.Stack[len(g.Stack)-1].Function+g.Entry, "rolesInHTTP") }
	want := map[string]func(*Group) bool{
		"handlers": func(g *Group) bool {
			return rolesOf(g) == roles{handler: true} && g.Count == 2 && strings.Contains(g.Site.Function, "rolesInHTTP")
		},
		"waits for a response": func(g *Group) bool {
			return rolesOf(g) == roles{call: true} && here(g) && !hasFrame(g, "io.ReadAll")
		},
		"reads a body": func(g *Group) bool {
			return rolesOf(g) == roles{call: true} && here(g) && hasFrame(g, "io.ReadAll")
		},
		"connections of the server": func(g *Group) bool { return rolesOf(g) == roles{connection: true} },
		"waits in Read": func(g *Group) bool {
			return rolesOf(g) == roles{} && strings.HasSuffix(g.Entry, ".readLoop")
		},
	}
	if !http2 { // HTTP/2 has one reader for all responses
		want["body in use"] = func(g *Group) bool {
			return rolesOf(g) == roles{} && g.Entry == "net/http.(*persistConn).readLoop" && g.Class == Select
		}
	}
	eachGroup(t, want)
}

func hasFrame(g *Group, function string) bool {
	return slices.ContainsFunc(g.Stack, func(s Site) bool { return s.Function == function })
}

// stuckDriver is a driver of database/sql whose queries block.
type stuckDriver struct{ stop chan struct{} }

func (d stuckDriver) Connect(context.Context) (driver.Conn, error) { return d, nil }
func (d stuckDriver) Driver() driver.Driver                        { return nil }
func (d stuckDriver) Prepare(string) (driver.Stmt, error)          { return nil, errors.ErrUnsupported }
func (d stuckDriver) Close() error                                 { return nil }
func (d stuckDriver) Begin() (driver.Tx, error)                    { return nil, errors.ErrUnsupported }

func (d stuckDriver) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	d.upstream()
	return nil, errors.ErrUnsupported
}
func (d stuckDriver) upstream() { <-d.stop }

func TestRolesInSQL(t *testing.T) {
	d := stuckDriver{make(chan struct{})}
	db := sql.OpenDB(d)
	defer db.Close()
	db.SetMaxOpenConns(1)
	var done sync.WaitGroup
	defer done.Wait()
	defer close(d.stop)
	for range 3 {
		done.Go(func() {
			if rows, err := db.QueryContext(context.Background(), "select 1"); err == nil {
				_ = rows.Err()
				rows.Close()
			}
		})
	}
	eachGroup(t, map[string]func(*Group) bool{
		"query": func(g *Group) bool {
			return g.Count == 1 && rolesOf(g) == roles{call: true} && hasFrame(g, "database/sql.ctxDriverQuery")
		},
		"pool": func(g *Group) bool { return g.Count == 2 && rolesOf(g) == roles{pool: true} },
		"opener": func(g *Group) bool {
			sig, _ := signatureOf(signatures(), g)
			return sig.hint == "sql-open" && rolesOf(g) == roles{}
		},
	})
}

func TestRolesInNet(t *testing.T) {
	var done sync.WaitGroup
	defer done.Wait()
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	done.Go(func() { _, _ = near.Read(make([]byte, 1)) })
	done.Go(func() { time.Sleep(2 * time.Second) })
	eachGroup(t, map[string]func(*Group) bool{
		"reader":  func(g *Group) bool { return hasFrame(g, "net.(*pipe).Read") && rolesOf(g) == roles{} },
		"sleeper": func(g *Group) bool { return g.Class == Sleep && rolesOf(g) == roles{wakes: true} },
	})
}

// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"slices"
	"strings"
)

// servesConnection reports whether goroutines with an entry serve connections or requests of a
// server. A client may wait for each of them.
func servesConnection(entry string) bool {
	return hasAnyPrefix(entry, "net/http.(*conn).serve", "net/http.(*Server).Serve.gowrap",
		"google.golang.org/grpc.(*Server).serveStreams", "google.golang.org/grpc.(*Server).serverWorker",
		"google.golang.org/grpc.(*Server).initServerWorkers",
		"github.com/valyala/fasthttp.(*workerPool).getCh", "github.com/valyala/fasthttp.(*workerPool).workerFunc") ||
		hasHTTP2(entry, "serverConn)")
}

// handlesRequest reports whether the members of a group run a handler: they serve a connection,
// and do not wait where the server waits for the next request.
func handlesRequest(g *Group) bool {
	if !servesConnection(g.Entry) {
		return false
	}
	site, server := g.Site.Function, packageOf(g.Entry)
	switch {
	case g.Class == Running, server != "net/http" && packageOf(site) == server:
		return calledByServer(g, server)
	case hasAnyPrefix(site, "net/http.(*connReader).", "net/http.(*conn).", "net/http.(*Server)."), hasHTTP2(site, "serverConn)"):
		return false
	default:
		return !hasHTTP2(g.Entry, "serverConn)") || hasHTTP2(g.Entry, "serverConn).runHandler")
	}
}

// onConnection reports whether the goroutines wait for a network connection. Those that wait for a file,
// such as the pipe with the output of a program, also wait in the network poller.
func onConnection(g *Group) bool {
	return g.Class == IO && !slices.ContainsFunc(g.Stack, func(s Site) bool { return strings.HasPrefix(s.Function, "os.(*File).") })
}

// calledByServer reports whether the stack contains a function outside the server and the
// standard library.
func calledByServer(g *Group, server string) bool {
	return slices.ContainsFunc(g.Stack, func(s Site) bool {
		p := packageOf(s.Function)
		return !isStandard(p) && !within(p, server)
	})
}

// outgoingCall reports whether the members of a group wait for another program: for a response,
// a result of a database, or a connection. Background goroutines of clients do not.
func outgoingCall(g *Group) bool {
	calls := false
	for i := range g.Stack {
		f := g.Stack[i].Function
		if strings.Contains(f, "redis/v9.(*PubSub).") || strings.Contains(f, "redis/v8.(*PubSub).") {
			return false // a subscription may be silent for any time
		}
		calls = calls || hasAnyPrefix(f, clientCalls()...) || hasHTTP2(f, "ClientConn).RoundTrip", "ClientConn).roundTrip", "Transport).RoundTrip")
	}
	return calls && !hasAnyPrefix(g.Entry, clientBackground()...)
}

// clientCalls returns prefixes of functions that wait for an answer.
func clientCalls() []string {
	return []string{
		"net/http.(*Transport).RoundTrip", "net/http.(*Transport).roundTrip", "net/http.(*Transport).getConn",
		"net/http.(*persistConn).roundTrip", "net/http.(*bodyEOFSignal).Read", "net/http.(*Client).",
		"net/http.http2transportResponseBody.Read", "net/http/internal/http2.transportResponseBody.Read", "golang.org/x/net/http2.transportResponseBody.Read",
		"net.(*Dialer).Dial", "net.(*Resolver).Lookup", "net.(*Resolver).lookup", "net.Dial", "net.Lookup",
		"net/rpc.(*Client).Call", "net/smtp.",
		"database/sql.(*DB).queryDC", "database/sql.(*DB).execDC", "database/sql.(*DB).beginDC", "database/sql.(*DB).prepareDC",
		"database/sql.(*DB).pingDC", "database/sql.ctxDriver", "database/sql.rowsiFromStatement", "database/sql.resultFromStatement",
		"database/sql.(*Rows).Next", "database/sql.(*Rows).nextLocked", "database/sql.(*Tx).Commit", "database/sql.(*Tx).Rollback",
		"google.golang.org/grpc.(*ClientConn).Invoke", "google.golang.org/grpc.(*clientStream).", "google.golang.org/grpc.newClientStream",
		"google.golang.org/grpc.invoke", "google.golang.org/grpc.(*GenericClientStream",
		"github.com/redis/go-redis/v9/internal/pool.(*Conn).", "github.com/go-redis/redis/v8/internal/pool.(*Conn).",
		"github.com/redis/rueidis.", "github.com/gomodule/redigo/redis.(*conn).", "github.com/bradfitz/gomemcache/memcache.",
		"github.com/jackc/pgx/v5/pgconn.", "github.com/jackc/pgx/v5.(*Conn).", "github.com/jackc/pgx/v4.(*Conn).", "github.com/jackc/pgconn.",
		"github.com/lib/pq.(*conn).", "github.com/go-sql-driver/mysql.(*mysqlConn).",
		"go.mongodb.org/mongo-driver/x/mongo/driver.Operation.Execute", "go.mongodb.org/mongo-driver/v2/x/mongo/driver.Operation.Execute",
		"github.com/gocql/gocql.(*Conn).exec", "github.com/rabbitmq/amqp091-go.(*Channel).call", "github.com/IBM/sarama.(*Broker).send",
		"github.com/segmentio/kafka-go.(*Conn).", "github.com/segmentio/kafka-go.(*Writer).WriteMessages",
		"github.com/nats-io/nats%2ego.(*Conn).request", "github.com/nats-io/nats%2ego.(*Conn).Request", "github.com/nats-io/nats%2ego.(*Conn).Flush",
		"github.com/valyala/fasthttp.(*HostClient).Do", "github.com/valyala/fasthttp.(*HostClient).do",
	}
}

// clientBackground returns prefixes of functions that clients run for their connections, not for
// a caller.
func clientBackground() []string {
	return []string{
		"net/http.(*persistConn).", "net/http.(*Transport).", "database/sql.(*DB).connection",
		"google.golang.org/grpc/internal/", "google.golang.org/grpc.(*addrConn).", "google.golang.org/grpc.newClientStream", "go.mongodb.org/mongo-driver/x/mongo/driver/topology.(*Server).",
		"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology.(*Server).", "github.com/go-sql-driver/mysql.(*mysqlConn).startWatcher",
	}
}

// selfWaking reports whether the members of a group wait for a time, after which they continue
// by themselves: in time.Sleep, a rate limiter, or the pause before a retry. A select with a
// timer cannot be distinguished from other selects.
func selfWaking(g *Group) bool {
	return g.Class == Sleep || (g.Class == Select || g.Class == ChanReceive) && hasAnyPrefix(g.Site.Function,
		"golang.org/x/time/rate.(*Limiter).",
		"github.com/cenkalti/backoff", // every version, and its tickers
		"github.com/avast/retry-go", "github.com/sethvargo/go-retry.", "github.com/hashicorp/go-retryablehttp.(*Client).",
		"k8s.io/apimachinery/pkg/util/wait.", "github.com/aws/smithy-go/time.SleepWithContext",
		"github.com/aws/aws-sdk-go/aws.SleepWithContext", "github.com/aws/aws-sdk-go/aws.sleepWithContext", "github.com/googleapis/gax-go/v2.Sleep",
		"github.com/redis/go-redis/v9/internal.Sleep", "github.com/go-redis/redis/v8/internal.Sleep",
		"google.golang.org/grpc.(*addrConn).resetTransport", "github.com/uber-go/ratelimit.", "go.uber.org/ratelimit.")
}

// waitsForPool reports whether the members of a group wait for a free resource of a pool.
func waitsForPool(g *Group) bool { return poolHint(g) != "" }

// poolHint returns the hint for a group that waits for a pool, or "".
func poolHint(g *Group) (id hintID) {
	if g.Site.Function == "database/sql.(*DB).conn" {
		return "sql-pool"
	}
	for i := range g.Stack {
		f := g.Stack[i].Function
		switch {
		case isCore(f), passesOn(packageOf(f)), hasAnyPrefix(f, "github.com/redis/go-redis/v9/internal.(*"): // its semaphore
			continue
		case hasAnyPrefix(f, "github.com/jackc/puddle") && !strings.Contains(f, "initResource"):
			id = "pool" // unless a later frame is pgx
			continue
		case hasAnyPrefix(f, "github.com/jackc/pgx/v5/pgxpool.(*Pool).", "github.com/jackc/pgx/v4/pgxpool.(*Pool).") && id != "":
			return "pgx-pool"
		case strings.Contains(f, "/internal/pool.(*ConnPool).waitTurn"), strings.HasPrefix(f, "github.com/gomodule/redigo/redis.(*Pool).waitVacantConn"):
			return "redis-pool"
		case strings.HasSuffix(f, "/x/mongo/driver/topology.(*pool).checkOut"):
			return "mongo-pool"
		default:
			return id
		}
	}
	return id
}

// hasHTTP2 reports whether a function is a method of one of net/http's HTTP/2 packages whose
// name after "(*" starts with one of the given prefixes.
func hasHTTP2(function string, methods ...string) bool {
	for _, p := range http2Packages() {
		if rest, ok := strings.CutPrefix(function, p); ok && hasAnyPrefix(rest, methods...) {
			return true
		}
	}
	return false
}

func hasAnyPrefix(s string, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s, p) })
}

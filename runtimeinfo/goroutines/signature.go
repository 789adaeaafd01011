// SPDX-License-Identifier: Apache-2.0

package goroutines

import "strings"

// signature is a group that is known by its frames: what it is, and what people
// usually did who ended up with many of it.
type signature struct {
	// entry and site match the start of a group's entry function and of the
	// function it waits in; empty matches all.
	entry, site string
	// kind, if set, is what growth of the group means; else the evidence decides.
	kind   Kind
	advice hintID // empty: none
	hint   string // its text
	// background goroutines serve whoever comes: they keep the label of the request
	// that happened to start them, and do not hold it up.
	background bool
	// incident joins groups that grow in step for one reason.
	incident string
}

// http2Packages are those that HTTP/2 is in: since Go 1.27, before, and apart.
func http2Packages() [3]string {
	return [...]string{"net/http/internal/http2.(*", "net/http.(*http2", "golang.org/x/net/http2.(*"}
}

// signatures returns the known ones, the more special first.
func signatures() []signature {
	all := []signature{
		{entry: "net/http.(*persistConn).readLoop", background: true, advice: "http-body", incident: "http client connections"},
		{entry: "net/http.(*persistConn).writeLoop", background: true, advice: "http-body", incident: "http client connections"},
		{entry: "net/http.(*Transport).dialConnFor", advice: "http-dial", incident: "http dials"},
		{entry: "net/http.(*Transport).startDialConnFor", advice: "http-dial", incident: "http dials"},
		{entry: "net/http.(*Transport).dialConn", advice: "http-body", incident: "http client connections"},
		{entry: "net/http.(*conn).serve", site: "net/http.(*conn).serve", kind: Connections, incident: "http server connections"},
		{entry: "net/http.(*conn).serve", site: "net/http.(*connReader).", kind: Connections, incident: "http server connections"},
		{entry: "net/http.(*conn).serve", site: "bufio.", kind: Connections, incident: "http server connections"},
		{entry: "net/http.(*Server).Serve.gowrap", site: "net/http.(*conn).", kind: Connections, incident: "http server connections"},
		{entry: "net/http.(*Server).Serve.gowrap", site: "net/http.(*connReader).", kind: Connections, incident: "http server connections"},
		{entry: "net/http.(*connReader).startBackgroundRead", kind: Connections, incident: "http server connections"},
		{entry: "net/http.(*connReader).backgroundRead", kind: Connections, incident: "http server connections"},
		{entry: "github.com/valyala/fasthttp.(*workerPool).getCh", site: "github.com/valyala/fasthttp.(*Server).serveConn", kind: Connections, incident: "fasthttp server connections"},
		{entry: "github.com/valyala/fasthttp.(*workerPool).getCh", site: "github.com/valyala/fasthttp.(*workerPool).", kind: Connections, incident: "fasthttp server connections"},
		{entry: "github.com/valyala/fasthttp.(*workerPool).getCh", site: "github.com/valyala/fasthttp.(*RequestHeader).", kind: Connections, incident: "fasthttp server connections"},
		{entry: "google.golang.org/grpc/internal/transport.NewServerTransport", kind: Connections, incident: "grpc server connections"},
		{entry: "google.golang.org/grpc/internal/transport.(*http2Server)", kind: Connections, incident: "grpc server connections"},
		{entry: "google.golang.org/grpc.(*Server).Serve", kind: Connections, incident: "grpc server connections"},
		{entry: "google.golang.org/grpc.(*Server).handleRawConn", kind: Connections, incident: "grpc server connections"},
		{entry: "google.golang.org/grpc/internal/transport.newHTTP2Client", advice: "grpc-client", incident: "grpc client connections"},
		{entry: "google.golang.org/grpc/internal/transport.NewHTTP2Client", advice: "grpc-client", incident: "grpc client connections"},
		{entry: "google.golang.org/grpc/internal/transport.(*http2Client)", background: true, advice: "grpc-client", incident: "grpc client connections"},
		{entry: "google.golang.org/grpc/internal/grpcsync.", background: true, advice: "grpc-client", incident: "grpc client connections"},
		{entry: "google.golang.org/grpc.newClientStream", advice: "grpc-stream"},
		{entry: "google.golang.org/grpc.(*Server)."}, // handlers of requests: no more is known of them
		{entry: "google.golang.org/grpc.", background: true, advice: "grpc-client", incident: "grpc client connections"},
		{entry: "database/sql.(*DB).connectionOpener", background: true, advice: "sql-open", incident: "sql pools"},
		{entry: "database/sql.OpenDB", background: true, advice: "sql-open", incident: "sql pools"},
		{entry: "github.com/go-sql-driver/mysql.(*mysqlConn).startWatcher", background: true, advice: "mysql-watcher", incident: "sql pools"},
		{site: "database/sql.(*DB).conn", advice: "sql-pool"},
		{entry: "database/sql.(*Tx).awaitDone", advice: "sql-tx"},
		{entry: "database/sql.(*Rows).awaitDone", advice: "sql-rows"},
		{entry: "context.(*cancelCtx).propagateCancel", advice: "context-parent"},
		{entry: "context.(*afterFuncCtx)", advice: "context"},
		{site: "net.(*Resolver)", advice: "dns"},
		{site: "net.(*netFD).connect", advice: "dial"},
	}
	for _, p := range http2Packages() { // but runHandler, in which a handler may be stuck
		all = append(all,
			signature{entry: p + "serverConn).readFrames", kind: Connections, incident: "http server connections"},
			signature{entry: p + "serverConn).writeFrameAsync", kind: Connections, incident: "http server connections"},
			signature{entry: "net/http.(*conn).serve", site: p + "serverConn).serve", kind: Connections, incident: "http server connections"},
			signature{entry: p + "ClientConn).readLoop", background: true, advice: "http-body", incident: "http client connections"},
			signature{entry: p + "clientStream).doRequest", advice: "http-stream", incident: "http client streams"},
		)
	}
	for i := range all {
		all[i].hint = say(all[i].advice)
	}
	return all
}

// recognise returns the signature of a group.
func recognise(all []signature, g *Group) (s signature, ok bool) {
	for _, s := range all {
		if strings.HasPrefix(g.Entry, s.entry) && strings.HasPrefix(g.Site.Function, s.site) {
			return s, true
		}
	}
	return signature{}, false
}

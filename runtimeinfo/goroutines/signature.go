// SPDX-License-Identifier: Apache-2.0

package goroutines

import "strings"

// signature describes groups that are recognized by their frames: what they are, and the most
// frequent mistake behind many of them.
type signature struct {
	// entry and site are prefixes of the entry function of a group and of the function in
	// which it waits.
	entry, site string
	// kind is the verdict on growth. "" means that the evidence decides.
	kind Kind
	hint hintID // or ""
	// background goroutines are shared by requests. They keep the label of the request that
	// started them, and that request does not wait for them.
	background bool
	// incident identifies groups that grow together for one reason.
	incident string
}

// http2Packages returns prefixes of the HTTP/2 packages: since Go 1.27, before, and x/net.
func http2Packages() [3]string {
	return [...]string{"net/http/internal/http2.(*", "net/http.(*http2", "golang.org/x/net/http2.(*"}
}

// signatures returns all signatures, more specific ones first.
func signatures() []signature {
	all := []signature{
		{entry: "net/http.(*persistConn).readLoop", background: true, hint: "http-body", incident: "http client connections"},
		{entry: "net/http.(*persistConn).writeLoop", background: true, hint: "http-body", incident: "http client connections"},
		{entry: "net/http.(*Transport).dialConnFor", hint: "http-dial", incident: "http dials"},
		{entry: "net/http.(*Transport).startDialConnFor", hint: "http-dial", incident: "http dials"},
		{entry: "net/http.(*Transport).dialConn", hint: "http-body", incident: "http client connections"},
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
		{entry: "google.golang.org/grpc/internal/transport.newHTTP2Client", hint: "grpc-client", incident: "grpc client connections"},
		{entry: "google.golang.org/grpc/internal/transport.NewHTTP2Client", hint: "grpc-client", incident: "grpc client connections"},
		{entry: "google.golang.org/grpc/internal/transport.(*http2Client)", background: true, hint: "grpc-client", incident: "grpc client connections"},
		{entry: "google.golang.org/grpc/internal/grpcsync.", background: true, hint: "grpc-client", incident: "grpc client connections"},
		{entry: "google.golang.org/grpc.newClientStream", hint: "grpc-stream"},
		{entry: "google.golang.org/grpc.(*Server)."}, // handlers of requests
		{entry: "google.golang.org/grpc.", background: true, hint: "grpc-client", incident: "grpc client connections"},
		{entry: "database/sql.(*DB).connectionOpener", background: true, hint: "sql-open", incident: "sql pools"},
		{entry: "database/sql.OpenDB", background: true, hint: "sql-open", incident: "sql pools"},
		{entry: "github.com/go-sql-driver/mysql.(*mysqlConn).startWatcher", background: true, hint: "mysql-watcher", incident: "sql pools"},
		{entry: "database/sql.(*Tx).awaitDone", hint: "sql-tx"},
		{entry: "database/sql.(*Rows).awaitDone", hint: "sql-rows"},
		{entry: "context.(*cancelCtx).propagateCancel", hint: "context-parent"},
		{entry: "context.(*afterFuncCtx)", hint: "context"},
	}
	for _, p := range http2Packages() { // except runHandler, which runs handlers
		all = append(all,
			signature{entry: p + "serverConn).readFrames", kind: Connections, incident: "http server connections"},
			signature{entry: p + "serverConn).writeFrameAsync", kind: Connections, incident: "http server connections"},
			signature{entry: "net/http.(*conn).serve", site: p + "serverConn).serve", kind: Connections, incident: "http server connections"},
			signature{entry: p + "ClientConn).readLoop", background: true, hint: "http-body", incident: "http client connections"},
			signature{entry: p + "clientStream).doRequest", hint: "http-stream", incident: "http client streams"},
		)
	}
	return all
}

// signatureOf returns the first signature that matches a group.
func signatureOf(all []signature, g *Group) (s signature, ok bool) {
	for _, s := range all {
		if strings.HasPrefix(g.Entry, s.entry) && strings.HasPrefix(g.Site.Function, s.site) {
			return s, true
		}
	}
	return signature{}, false
}

package goroutines

import "strings"

// signature is a group that is known by its frames: what it is, and what people
// usually did who ended up with many of it.
type signature struct {
	// entry and site match the start of a group's entry function and of the
	// function it waits in; empty matches all.
	entry, site string
	// kind, if set, is what growth of the group means; else the evidence decides.
	kind Kind
	hint string
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
	const (
		body = "an HTTP response whose body is not closed, or not read to its end, keeps its connection and two goroutines; " +
			"so does each http.Transport that is made for one request and never closed"
		stream     = "an HTTP/2 response whose body is not closed, or not read to its end, keeps its stream and a goroutine"
		clientConn = "a grpc.ClientConn is made for each call, or never closed: make one and share it"
	)
	all := []signature{
		{entry: "net/http.(*persistConn).readLoop", background: true, hint: body, incident: "http client connections"},
		{entry: "net/http.(*persistConn).writeLoop", background: true, hint: body, incident: "http client connections"},
		{entry: "net/http.(*Transport).dialConn", hint: body, incident: "http client connections"},
		{entry: "net/http.(*Transport).dialConnFor", hint: "the upstream takes no connections: set a dial timeout", incident: "http dials"},
		{entry: "net/http.(*conn).serve", site: "net/http.(*conn).serve", kind: Connections, incident: "http server connections"},
		{entry: "net/http.(*conn).serve", site: "net/http.(*connReader).", kind: Connections, incident: "http server connections"},
		{entry: "net/http.(*conn).serve", site: "bufio.", kind: Connections, incident: "http server connections"},
		{entry: "net/http.(*Server).Serve.gowrap", site: "net/http.(*conn).", kind: Connections, incident: "http server connections"},
		{entry: "net/http.(*Server).Serve.gowrap", site: "net/http.(*connReader).", kind: Connections, incident: "http server connections"},
		{entry: "net/http.(*connReader).startBackgroundRead", kind: Connections, incident: "http server connections"},
		{entry: "net/http.(*connReader).backgroundRead", kind: Connections, incident: "http server connections"},
		{entry: "google.golang.org/grpc/internal/transport.NewServerTransport", kind: Connections, incident: "grpc server connections"},
		{entry: "google.golang.org/grpc/internal/transport.(*http2Server)", kind: Connections, incident: "grpc server connections"},
		{entry: "google.golang.org/grpc.(*Server).Serve", kind: Connections, incident: "grpc server connections"},
		{entry: "google.golang.org/grpc.(*Server).handleRawConn", kind: Connections, incident: "grpc server connections"},
		{entry: "google.golang.org/grpc/internal/transport.newHTTP2Client", hint: clientConn, incident: "grpc client connections"},
		{entry: "google.golang.org/grpc/internal/transport.NewHTTP2Client", hint: clientConn, incident: "grpc client connections"},
		{entry: "google.golang.org/grpc/internal/transport.(*http2Client)", background: true, hint: clientConn, incident: "grpc client connections"},
		{entry: "google.golang.org/grpc/internal/grpcsync.", background: true, hint: clientConn, incident: "grpc client connections"},
		{entry: "google.golang.org/grpc.newClientStream", hint: "a stream is neither read to its end nor is its context cancelled"},
		{entry: "google.golang.org/grpc.", background: true, hint: clientConn, incident: "grpc client connections"},
		{entry: "database/sql.OpenDB", background: true, hint: "sql.Open is called for each request: open one DB and share it", incident: "sql pools"},
		{entry: "github.com/go-sql-driver/mysql.(*mysqlConn).startWatcher", background: true, hint: "each connection of a sql.DB has one: set SetMaxOpenConns, and open one DB and share it", incident: "sql pools"},
		{site: "database/sql.(*DB).conn", hint: "the pool of connections is exhausted: sql.Rows or a sql.Tx is not closed, or SetMaxOpenConns is too low"},
		{entry: "database/sql.(*Tx).awaitDone", hint: "a sql.Tx is neither committed nor rolled back"},
		{entry: "database/sql.(*Rows).awaitDone", hint: "sql.Rows are not closed"},
		{entry: "context.(*cancelCtx).propagateCancel", hint: "a context made from a foreign parent is never cancelled: call its cancel function"},
		{entry: "context.(*afterFuncCtx)", hint: "a context is never cancelled: call its cancel function"},
		{site: "net.(*Resolver)", hint: "DNS does not answer: set a timeout"},
		{site: "net.(*netFD).connect", hint: "the other side takes no connections: set a dial timeout"},
	}
	for _, p := range http2Packages() { // but runHandler, in which a handler may be stuck
		all = append(all,
			signature{entry: p + "serverConn).readFrames", kind: Connections, incident: "http server connections"},
			signature{entry: p + "serverConn).writeFrameAsync", kind: Connections, incident: "http server connections"},
			signature{entry: "net/http.(*conn).serve", site: p + "serverConn).serve", kind: Connections, incident: "http server connections"},
			signature{entry: p + "ClientConn).readLoop", background: true, hint: body, incident: "http client connections"},
			signature{entry: p + "clientStream).doRequest", hint: stream, incident: "http client streams"},
		)
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

// servesConnection tells the functions in which the goroutines of servers begin.
func servesConnection(entry string) bool {
	for _, prefix := range []string{"net/http.(*conn).serve", "net/http.(*Server).Serve.gowrap", "google.golang.org/grpc.(*Server).serveStreams"} {
		if strings.HasPrefix(entry, prefix) {
			return true
		}
	}
	for _, p := range http2Packages() {
		if strings.HasPrefix(entry, p+"serverConn)") {
			return true
		}
	}
	return false
}

// hintFor says what people usually did who ended up with such a group.
func hintFor(s *Survey, g *Group) string {
	switch g.Class.Family() {
	case FamilyLock:
		if h := holder(s, g); h != nil {
			return "many wait for one lock; a goroutine in the same function does not wait for it and may hold it: " + h.Class.String() + " at " + h.Site.String()
		}
		return "many wait for one lock: whoever holds it does not give it back"
	case FamilyChannel:
		return channelHint(g)
	case FamilySelect:
		return selectHint(g)
	case FamilyTimer:
		return "a loop that sleeps has no way to end: give it a context"
	case FamilyIO:
		return "a read or write without a deadline waits for a peer that says nothing: set a deadline or use a context"
	default:
		return ""
	}
}

func channelHint(g *Group) string {
	if g.Class == ChanSend {
		return "nobody receives: the receiver returned early; give the channel room for the result or select on a context too"
	}
	if strings.Contains(g.Entry, "Tick") || strings.Contains(g.Site.Function, "Tick") {
		return "Ticker.Stop does not end a range over its channel: select on a context too"
	}
	return "nobody sends or closes: the sender returned early, a context is never cancelled, or the ticker it ranges over was stopped, which does not close its channel"
}

func selectHint(*Group) string {
	return "none of the cases ever comes: a context is not passed on or never cancelled; in a loop, time.After only keeps it waiting"
}

// holder finds a goroutine that is in the function where others wait for a
// lock, and does not wait for one itself.
func holder(s *Survey, g *Group) *Group {
	for i := range s.Groups {
		h := &s.Groups[i]
		if h.Class.Family() == FamilyLock {
			continue
		}
		for _, f := range h.Stack {
			if f.Function == g.Site.Function {
				return h
			}
		}
	}
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"slices"
	"strings"
)

// hintID names a hint. The page has the Chinese text of each under the same name.
type hintID string

// hintText is the English text of a hint. Names in braces are places that are
// filled in.
type hintText struct {
	id   hintID
	text string
	// slow hints fit a group whose members end in the end too, only later than before.
	slow bool
}

// hintTable returns every hint. A hint names the mistake that most often produces
// such a group.
func hintTable() []hintText {
	return slices.Concat(clientHints(), objectHints(), syncHints(), channelHints())
}

// clientHints are of clients and servers that are known by their frames, and of
// pools.
func clientHints() []hintText {
	return []hintText{
		{id: "http-body", text: "an HTTP response whose body is not closed, or not read to its end, keeps its connection and two goroutines; " +
			"so does each http.Transport that is made for one request and never closed"},
		{id: "http-idle", text: "these connections wait for a next request: an http.Transport is made again and again, and each keeps its connections: share one, or call CloseIdleConnections"},
		{id: "http-stream", text: "an HTTP/2 response whose body is not closed, or not read to its end, keeps its stream and a goroutine"},
		{id: "http-dial", text: "the upstream takes no connections: set a dial timeout", slow: true},
		{id: "grpc-client", text: "a grpc.ClientConn is made for each call, or never closed: make one and share it"},
		{id: "grpc-stream", text: "a stream is neither read to its end nor is its context cancelled"},
		{id: "sql-open", text: "sql.Open is called for each request: open one DB and share it"},
		{id: "sql-tx", text: "a sql.Tx is neither committed nor rolled back"},
		{id: "sql-rows", text: "sql.Rows are not closed"},
		{id: "mysql-watcher", text: "each connection of a sql.DB has one: set SetMaxOpenConns, and open one DB and share it"},
		{id: "context-parent", text: "a context made from a foreign parent is never cancelled: call its cancel function"},
		{id: "context", text: "a context is never cancelled: call its cancel function"},
		{id: "dns", text: "DNS does not answer: set a timeout", slow: true},
		{id: "dial", text: "the other side takes no connections: set a dial timeout", slow: true},

		{id: "sql-pool", text: "the pool of connections is exhausted: sql.Rows or a sql.Tx is not closed, or SetMaxOpenConns is too low", slow: true},
		{id: "pgx-pool", text: "the pool of connections is exhausted: Rows are not closed, a Tx is not ended or a Conn is not released on some path, or MaxConns is too low", slow: true},
		{id: "redis-pool", text: "the pool of the Redis client is exhausted: blocking commands hold its connections, a Conn is not closed, or PoolSize is too low", slow: true},
		{id: "mongo-pool", text: "the pool of the MongoDB client is exhausted: a Cursor or a Session is not closed, or MaxPoolSize is too low", slow: true},
		{id: "pool", text: "the pool has nothing free: what was taken from it is not given back on some path, or the pool is too small", slow: true},
	}
}

// objectHints are of goroutines inside libraries, and of calls of them.
func objectHints() []hintText {
	return []hintText{
		{id: "made", text: "{call}, called at {line}, starts goroutines that end when the object is closed: close it, or make one and share it"},
		{id: "started", text: "{call}, called at {line}, starts a goroutine that does not end: close what it returned, read that to its end, or cancel its context"},
		{id: "library", text: "they run in {package} alone: look for an object of it that is made again and again and never closed"},
		{id: "call", text: "{call} does not return: bound the call with a context or a timeout", slow: true},
	}
}

// syncHints are of locks and what is made of them.
func syncHints() []hintText {
	return []hintText{
		{id: "lock-holder", text: "many wait for one lock; a goroutine in the same function does not wait for it and may hold it: {holder}"},
		{id: "lock-pair", text: "each waits for a lock that another goroutine of the same object may hold while it waits itself: {holder}"},
		{id: "lock", text: "a lock is not given back: Unlock is missing on some path, or whoever holds the lock waits for something else"},
		{id: "lock-slow", text: "a lock is held for longer than before: do the slow work without it", slow: true},
		{id: "cond", text: "Wait of a sync.Cond is not woken: Signal or Broadcast is missing on some path, or came before Wait"},
		{id: "wait-group", text: "WaitGroup.Wait does not return: Done is not called on every path, Add counts too many, or a goroutine that it waits for is blocked itself"},
		{id: "errgroup-wait", text: "Wait of an errgroup does not return: one of its functions is blocked and does not watch the group's context"},
		{id: "errgroup-limit", text: "Go of an errgroup waits for room below SetLimit: its functions do not end, or one of them calls Go of its own group", slow: true},
		{id: "errgroup-nested", text: "a function of an errgroup calls Go of a group that is at its limit, and waits for itself: start nested work in a group of its own"},
		{id: "semaphore", text: "Acquire waits for a weighted semaphore: Release is not called on every path, or more is asked for than there is", slow: true},
		{id: "singleflight", text: "all wait for the one call of a singleflight.Group that is under way: bound that call with a timeout, or use DoChan with a select on the context", slow: true},
	}
}

// channelHints are of channels, time, and what lies outside the process.
func channelHints() []hintText {
	return []hintText{
		{id: "send", text: "nobody receives: the receiver returned early; give the channel room for the result or select on a context too"},
		{id: "receive", text: "nobody sends or closes: the sender returned early, a context is never cancelled, or the ticker it ranges over was stopped, which does not close its channel"},
		{id: "ticker", text: "a loop over the channel of time.Tick or of a Ticker never ends, not even after Stop: select on a context too"},
		{id: "select", text: "none of the cases ever comes: a context is not passed on or never cancelled; in a loop, time.After only keeps it waiting"},
		{id: "forever", text: "a select without cases never ends"},
		{id: "sleep", text: "a loop that sleeps has no way to end: give it a context"},
		{id: "retry", text: "they pause between attempts: limit the attempts, or stop them when the context is done", slow: true},
		{id: "pipe-write", text: "nobody reads the other end of the pipe: the reader returned without CloseWithError"},
		{id: "pipe-read", text: "nobody writes to the pipe or closes it: the writer returned without Close or CloseWithError"},
		{id: "upstream", text: "an upstream does not answer: give the call a context with a timeout, or set the client's own", slow: true},
		{id: "peer", text: "they wait for the other side of a connection: only a deadline, a cancelled context or closing the connection ends that"},
		{id: "process", text: "a child process does not end: start it with exec.CommandContext, and set WaitDelay"},
	}
}

// say returns the text of a hint with its places filled in: pairs of a place
// and what stands there.
func say(id hintID, places ...string) string {
	for _, h := range hintTable() {
		if h.id == id {
			for i := 0; i+1 < len(places); i += 2 {
				h.text = strings.ReplaceAll(h.text, "{"+places[i]+"}", places[i+1])
			}
			return h.text
		}
	}
	return ""
}

// isSlow reports whether a hint fits a group whose members end in the end.
func isSlow(id hintID) bool {
	return slices.ContainsFunc(hintTable(), func(h hintText) bool { return h.id == id && h.slow })
}

// hintInput is what a hint is chosen by.
type hintInput struct {
	kind     Kind
	survey   *Survey  // the newest; nil if unknown
	groups   []*Group // of the incident, the leading one first
	creation []Site   // the stack of the go statement of new members of the leading group; nil if unknown
	where    Site     // what [program.where] returns; the zero Site if unknown
}

// hints chooses what to say of an incident. Its methods are safe for concurrent use.
type hints struct {
	program program
	known   []signature
}

func newHints(p program) *hints { return &hints{program: p, known: signatures()} }

// advice is a hint and what stands in its places.
type advice struct {
	id     hintID
	places []string
}

// hint returns a sentence that says what to look for, in English; empty where no
// hint fits.
func (h *hints) hint(in hintInput) string {
	if len(in.groups) == 0 || slices.Contains([]Kind{Load, Connections, Pool, Burst}, in.kind) {
		return ""
	}
	for _, choose := range []func(*hintInput) advice{h.ofSignature, h.ofWait, h.ofLock, h.ofObject, h.ofClass} {
		if a := choose(&in); a.id != "" && (in.kind != Pressure || isSlow(a.id)) {
			return say(a.id, a.places...)
		}
	}
	return ""
}

// ofSignature returns the hint for groups that are known by their frames.
func (h *hints) ofSignature(in *hintInput) advice {
	for _, g := range in.groups {
		if sig, ok := recognise(h.known, g); ok && sig.advice != "" {
			if sig.advice == "http-body" && idleConnections(in.groups) {
				return advice{id: "http-idle"}
			}
			return advice{id: sig.advice}
		}
	}
	return advice{}
}

// idleConnections reports whether all readers of an HTTP client's connections
// wait for the next response.
func idleConnections(groups []*Group) bool {
	idle := false
	for _, g := range groups {
		if strings.HasPrefix(g.Entry, "net/http.(*persistConn).readLoop") {
			if !idleConnection(g) {
				return false
			}
			idle = true
		}
	}
	return idle
}

// ofWait returns the hint for groups that wait in a function with one known
// purpose, such as a pool's.
func (h *hints) ofWait(in *hintInput) advice {
	for _, g := range in.groups {
		id := h.waitOf(g)
		if id == "errgroup-limit" && h.nested(in) {
			id = "errgroup-nested"
		}
		if id != "" {
			return advice{id: id}
		}
	}
	return advice{}
}

// waitOf returns the hint for what a group waits for in a call that the
// application made; empty if that is not known.
func (h *hints) waitOf(g *Group) hintID {
	if id := poolOf(g); id != "" {
		return id
	}
	waits := true // in this frame, not in one that it called
	for i := range g.Stack {
		f := g.Stack[i].Function
		if isCore(f) {
			continue
		}
		if h.program.ownerOf(f) == ofApplication {
			break
		}
		if id := primitiveOf(f); waits && id != "" {
			return id
		}
		waits = false
		switch {
		case strings.HasPrefix(f, "net.(*Resolver)."):
			return "dns"
		case hasAnyPrefix(f, "net.(*sysDialer).", "net.(*netFD).connect"):
			return "dial"
		case hasAnyPrefix(f, "os/exec.(*Cmd).", "os.(*Process)."):
			return "process"
		}
	}
	return ""
}

// primitiveOf returns the hint for a goroutine that waits in a function of a
// package that has no other purpose.
func primitiveOf(function string) hintID {
	switch function {
	case "golang.org/x/sync/errgroup.(*Group).Go":
		return "errgroup-limit"
	case "golang.org/x/sync/errgroup.(*Group).Wait":
		return "errgroup-wait"
	case "golang.org/x/sync/singleflight.(*Group).Do":
		return "singleflight"
	case "golang.org/x/sync/semaphore.(*Weighted).Acquire":
		return "semaphore"
	case "io.(*pipe).write":
		return "pipe-write"
	case "io.(*pipe).read":
		return "pipe-read"
	}
	return ""
}

// nested reports whether functions of an errgroup wait for room in one.
func (h *hints) nested(in *hintInput) bool {
	return slices.ContainsFunc(all(in), func(g *Group) bool {
		n := len(g.Stack)
		return n > 0 && strings.HasPrefix(g.Stack[n-1].Function, "golang.org/x/sync/errgroup.(*Group).Go.") && h.waitOf(g) == "errgroup-limit"
	})
}

// all returns the groups of the incident and all others.
func all(in *hintInput) []*Group {
	groups := slices.Clone(in.groups)
	if in.survey != nil {
		for i := range in.survey.Groups {
			groups = append(groups, &in.survey.Groups[i])
		}
	}
	return groups
}

// ofLock returns the hint for groups that wait for a lock. A profile does not
// show whether they wait for the same lock.
func (h *hints) ofLock(in *hintInput) advice {
	for i, g := range in.groups {
		if g.Class.Family() != FamilyLock {
			continue
		}
		if i == 0 {
			return lockAdvice(in.kind, g, all(in))
		}
		if holder, _ := holderOf(in.groups[:1], g); holder != nil { // the leading group may be what they wait for
			return lockAdvice(in.kind, g, in.groups[:1])
		}
	}
	return advice{}
}

// lockAdvice returns the hint for one group that waits for a lock that a group of
// others may hold.
func lockAdvice(kind Kind, g *Group, others []*Group) advice {
	const many = 10 // for each that may hold it
	if kind == Pressure {
		return advice{id: "lock-slow"}
	}
	holder, same := holderOf(others, g)
	if holder == nil {
		return advice{id: "lock"}
	}
	place := []string{"holder", holder.Class.String() + " at " + holder.Site.String()}
	switch {
	case same && many*holder.Count <= g.Count:
		return advice{"lock-holder", place}
	case holder.Count <= 2*g.Count && g.Count <= 2*holder.Count:
		return advice{"lock-pair", place}
	default:
		return advice{id: "lock"}
	}
}

// holderOf finds a group that does not wait for a lock, in the function where
// another does (same is true), or in a method of the same type.
func holderOf(groups []*Group, waiting *Group) (holder *Group, same bool) {
	receiver := receiverOf(waiting.Site.Function)
	for _, g := range groups {
		if g.Class.Family() == FamilyLock {
			continue
		}
		for i := range g.Stack {
			f := g.Stack[i].Function
			if f == waiting.Site.Function {
				return g, true
			}
			if holder == nil && receiver != "" && strings.HasPrefix(f, receiver) {
				holder = g
			}
		}
	}
	return holder, false
}

// receiverOf returns the name of a method up to the end of its receiver's type;
// empty for other functions.
func receiverOf(function string) string {
	path := packageOf(function)
	name, found := strings.CutPrefix(function[len(path):], ".(*")
	if end := strings.IndexByte(name, ')'); found && end >= 0 {
		return path + ".(*" + name[:end+1] + "."
	}
	return ""
}

// ofObject returns the hint for goroutines that run in a library alone: they
// belong to an object of it.
func (h *hints) ofObject(in *hintInput) advice {
	g := in.groups[0]
	if in.kind == Stuck || in.kind == Pressure || len(h.program.modules) == 0 || servesConnection(g.Entry) || h.has(g, ofApplication) || !h.has(g, ofLibrary) {
		return advice{}
	}
	call, line, ok := h.callIn(in.creation)
	switch {
	case !ok && len(in.creation) > 0: // by a library too
		return advice{}
	case !ok:
		library, _, _ := strings.Cut(packageOf(g.Entry), "/internal/") // the part that programs import
		return advice{"library", []string{"package", readable(library)}}
	case isConstructor(call.Function):
		return advice{"made", []string{"call", readable(call.Function), "line", line.String()}}
	default:
		return advice{"started", []string{"call", readable(call.Function), "line", line.String()}}
	}
}

// has reports whether a frame of the group's stack is of an owner.
func (h *hints) has(g *Group, of owner) bool {
	return h.program.ownerOf(g.Entry) == of || slices.ContainsFunc(g.Stack, func(s Site) bool {
		return h.program.ownerOf(s.Function) == of && !isCore(s.Function) && !passesOn(packageOf(s.Function))
	})
}

// callIn returns the function of a library that the application called in a
// stack, and the line of that call.
func (h *hints) callIn(stack []Site) (call, line Site, ok bool) {
	for _, s := range stack {
		switch h.program.ownerOf(s.Function) {
		case ofApplication:
			return call, s, call.Function != ""
		case ofLibrary:
			if !isCore(s.Function) && !passesOn(packageOf(s.Function)) {
				call = s
			}
		case ofStandard, ofAgent:
		}
	}
	return Site{}, Site{}, false
}

// isConstructor reports whether a function by its name makes an object.
func isConstructor(function string) bool {
	name := function[strings.LastIndexByte(elided(function), '.')+1:]
	return hasAnyPrefix(name, "New", "Open", "Dial", "Connect", "Create", "Make", "Build", "Init", "Start", "Must", "Setup")
}

// ofClass returns the hint that follows from the wait class, for groups that no
// other rule matches.
func (h *hints) ofClass(in *hintInput) advice {
	g := in.groups[0]
	if outgoingCall(g) {
		return advice{id: "upstream"}
	}
	if selfWaking(g) && (in.kind == Stuck || in.kind == Pressure || g.Class != Sleep) {
		return advice{id: "retry"}
	}
	if own := h.program.ownerOf(g.Site.Function); own != ofApplication && len(h.program.modules) > 0 {
		if call, _, ok := h.callIn(g.Stack); ok {
			return advice{"call", []string{"call", readable(call.Function)}}
		}
		return advice{}
	}
	return advice{id: map[WaitClass]hintID{
		ChanSend: "send", ChanReceive: receiveHint(g, in.where), Select: "select", SelectForever: "forever",
		Sleep: "sleep", Cond: "cond", WaitGroup: "wait-group", IO: "peer",
	}[g.Class]}
}

// receiveHint recognises a loop over a ticker by the name of its function: a
// stack does not show what kind of channel it is.
func receiveHint(g *Group, where Site) hintID {
	for _, f := range []string{g.Site.Function, g.Entry, where.Function} {
		if strings.Contains(f, "Tick") || strings.Contains(f, "tick") {
			return "ticker"
		}
	}
	return "receive"
}

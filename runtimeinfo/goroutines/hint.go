// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"slices"
	"strings"
)

// hintInput is the incident that a hint is chosen for.
type hintInput struct {
	kind     Kind
	survey   *Survey  // the newest, or nil
	groups   []*Group // of the incident, the leading one first
	creation []Site   // a creation stack of the leading group; nil if unknown
	where    Site     // the result of program.where; the zero Site if unknown
}

// hints chooses the hint for an incident. Its methods are safe for concurrent use.
type hints struct {
	program    program
	signatures []signature
}

func newHints(p program) hints { return hints{program: p, signatures: signatures()} }

// hint returns the text of the hint for an incident, or "".
func (h *hints) hint(in hintInput) string {
	if len(in.groups) == 0 || slices.Contains([]Kind{Load, Connections, Pool, Burst}, in.kind) {
		return ""
	}
	for _, choose := range []func(*hintInput) hintText{h.ofSignature, h.ofWait, h.ofLock, h.ofObject, h.ofClass} {
		if hint := choose(&in); hint.text != "" && (in.kind != Pressure || hint.slow) {
			return hint.text
		}
	}
	return ""
}

// ofSignature returns the hint of the first group with a signature.
func (h *hints) ofSignature(in *hintInput) hintText {
	for _, g := range in.groups {
		if sig, ok := signatureOf(h.signatures, g); ok && sig.hint != "" {
			if sig.hint == "http-body" && idleConnections(in.groups) {
				return hintOf("http-idle")
			}
			return hintOf(sig.hint)
		}
	}
	return hintText{}
}

// idleConnections reports whether all readers of an HTTP client's connections read from an idle
// one, until the next response begins or the server closes it. While a response body is open, the
// reader waits in a select instead.
func idleConnections(groups []*Group) bool {
	idle := false
	for _, g := range groups {
		if strings.HasPrefix(g.Entry, "net/http.(*persistConn).readLoop") {
			if g.Class != IO {
				return false
			}
			idle = true
		}
	}
	return idle
}

// ofWait returns the hint for groups that wait in a function of known purpose, such as a
// pool.
func (h *hints) ofWait(in *hintInput) hintText {
	for _, g := range in.groups {
		id := h.waitOf(g)
		if id == "errgroup-limit" && h.nested(in) {
			id = "errgroup-nested"
		}
		if id != "" {
			return hintOf(id)
		}
	}
	return hintText{}
}

// waitOf returns the hint for a call of the application in which a group waits, or "".
func (h *hints) waitOf(g *Group) hintID {
	if id := poolHint(g); id != "" {
		return id
	}
	purposes := primitives()
	waits := true // the group waits in this frame
	for i := range g.Stack {
		f := g.Stack[i].Function
		if isCore(f) {
			continue
		}
		if h.program.ownerOf(f) == ofApplication {
			break
		}
		if id := purposes[f]; waits && id != "" {
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

// primitives returns the hints for functions whose only purpose is to wait.
func primitives() map[string]hintID {
	return map[string]hintID{
		"golang.org/x/sync/errgroup.(*Group).Go":          "errgroup-limit",
		"golang.org/x/sync/errgroup.(*Group).Wait":        "errgroup-wait",
		"golang.org/x/sync/singleflight.(*Group).Do":      "singleflight",
		"golang.org/x/sync/semaphore.(*Weighted).Acquire": "semaphore",
		"io.(*pipe).write":                                "pipe-write",
		"io.(*pipe).read":                                 "pipe-read",
	}
}

// nested reports whether functions of an errgroup wait because a group is at its limit.
func (h *hints) nested(in *hintInput) bool {
	return slices.ContainsFunc(all(in), func(g *Group) bool {
		n := len(g.Stack)
		return n > 0 && strings.HasPrefix(g.Stack[n-1].Function, "golang.org/x/sync/errgroup.(*Group).Go.") && h.waitOf(g) == "errgroup-limit"
	})
}

// all returns the groups of the incident, then all groups of the survey.
func all(in *hintInput) []*Group {
	groups := slices.Clone(in.groups)
	if in.survey != nil {
		for i := range in.survey.Groups {
			groups = append(groups, &in.survey.Groups[i])
		}
	}
	return groups
}

// ofLock returns the hint for groups that wait for a lock. A profile does not show which lock
// it is.
func (h *hints) ofLock(in *hintInput) hintText {
	for i, g := range in.groups {
		if g.Class.family() != familyLock {
			continue
		}
		if i == 0 {
			return lockHint(in.kind, g, all(in))
		}
		if holder, _ := holderOf(in.groups[:1], g); holder != nil { // the leading group may hold the lock
			return lockHint(in.kind, g, in.groups[:1])
		}
	}
	return hintText{}
}

// lockHint returns the hint for a group that waits for a lock, which one of the other groups
// may hold.
func lockHint(kind Kind, g *Group, others []*Group) hintText {
	const many = 10 // waiters per possible holder
	if kind == Pressure {
		return hintOf("lock-slow")
	}
	holder, same := holderOf(others, g)
	if holder == nil {
		return hintOf("lock")
	}
	place := holder.Class.String() + " at " + holder.Site.String()
	switch {
	case same && many*holder.Count <= g.Count:
		return hintOf("lock-holder", "holder", place)
	case holder.Count <= 2*g.Count && g.Count <= 2*holder.Count:
		return hintOf("lock-pair", "holder", place)
	default:
		return hintOf("lock")
	}
}

// holderOf returns a group that does not wait for a lock and is in the function where another
// one does (same is true), or in a method of the same type.
func holderOf(groups []*Group, waiting *Group) (holder *Group, same bool) {
	receiver := receiverOf(waiting.Site.Function)
	for _, g := range groups {
		if g.Class.family() == familyLock {
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

// receiverOf returns the name of a method up to the end of its receiver, or "".
func receiverOf(function string) string {
	path := packageOf(function)
	name, found := strings.CutPrefix(function[len(path):], ".(*")
	if end := strings.IndexByte(name, ')'); found && end >= 0 {
		return path + ".(*" + name[:end+1] + "."
	}
	return ""
}

// ofObject returns the hint for goroutines that run only code of a library, which probably
// belong to an object of it.
func (h *hints) ofObject(in *hintInput) hintText {
	g := in.groups[0]
	if in.kind == Stuck || in.kind == Pressure || len(h.program.modules) == 0 || servesConnection(g.Entry) || h.has(g, ofApplication) || !h.has(g, ofLibrary) {
		return hintText{}
	}
	call, line, ok := h.callIn(in.creation)
	switch {
	case !ok && len(in.creation) > 0: // created by a library
		return hintText{}
	case !ok:
		library, _, _ := strings.Cut(packageOf(g.Entry), "/internal/") // the importable package
		return hintOf("library", "package", readable(library))
	case isConstructor(call.Function):
		return hintOf("made", "call", readable(call.Function), "line", line.String())
	default:
		return hintOf("started", "call", readable(call.Function), "line", line.String())
	}
}

// has reports whether a frame of the group's stack belongs to an owner.
func (h *hints) has(g *Group, of owner) bool {
	return h.program.ownerOf(g.Entry) == of || slices.ContainsFunc(g.Stack, func(s Site) bool {
		return h.program.ownerOf(s.Function) == of
	})
}

// callIn returns the library function that the application called in a stack, and the line of
// the call.
func (h *hints) callIn(stack []Site) (call, line Site, ok bool) {
	for _, s := range stack {
		switch h.program.ownerOf(s.Function) {
		case ofApplication:
			return call, s, call.Function != ""
		case ofLibrary:
			call = s
		case ofStandard, ofAgent:
		}
	}
	return Site{}, Site{}, false
}

// isConstructor reports whether a function creates an object, judging by its name.
func isConstructor(function string) bool {
	name := function[strings.LastIndexByte(elideTypes(function), '.')+1:]
	return hasAnyPrefix(name, "New", "Open", "Dial", "Connect", "Create", "Make", "Build", "Init", "Start", "Must", "Setup")
}

// ofClass returns the hint for the wait class, if no other rule matches.
func (h *hints) ofClass(in *hintInput) hintText {
	g := in.groups[0]
	if outgoingCall(g) {
		return hintOf("upstream")
	}
	if selfWaking(g) && (in.kind == Stuck || in.kind == Pressure || g.Class != Sleep) {
		return hintOf("retry")
	}
	if own := h.program.ownerOf(g.Site.Function); own != ofApplication && len(h.program.modules) > 0 {
		if call, _, ok := h.callIn(g.Stack); ok {
			return hintOf("call", "call", readable(call.Function))
		}
		return hintText{}
	}
	return hintOf(map[WaitClass]hintID{
		ChanSend: "send", ChanReceive: receiveHint(g, in.where), Select: "select", SelectForever: "forever",
		Sleep: "sleep", Cond: "cond", WaitGroup: "wait-group", IO: "peer",
	}[g.Class])
}

// receiveHint recognizes a loop over a ticker by the name of a function: a stack does not show
// the kind of a channel.
func receiveHint(g *Group, where Site) hintID {
	for _, f := range []string{g.Site.Function, g.Entry, where.Function} {
		if strings.Contains(f, "Tick") || strings.Contains(f, "tick") {
			return "ticker"
		}
	}
	return "receive"
}

package goroutines

import "strings"

func (t *groupTracker) hint(o *openVerdict, groups []*Group) string {
	sig, _ := recognise(t.known, groups[0])
	if sig.hint != "" {
		return sig.hint
	}
	return hintFor(&Survey{}, groups[0])
}

func handlesRequest(g *Group) bool {
	return servesConnection(g.Entry) && !strings.HasPrefix(g.Site.Function, "net/http.(*conn") && !strings.HasPrefix(g.Site.Function, "bufio.")
}
func outgoingCall(g *Group) bool {
	for _, s := range g.Stack {
		if strings.Contains(s.Function, ".roundTrip") {
			return true
		}
	}
	return false
}
func selfWaking(g *Group) bool { return g.Class == Sleep }
func isBackgroundRead(g *Group) bool {
	return strings.HasPrefix(g.Entry, "net/http.(*connReader).backgroundRead") || strings.HasPrefix(g.Entry, "net/http.(*connReader).startBackgroundRead")
}
func isHTTP1Handler(g *Group) bool {
	return handlesRequest(g) && (strings.HasPrefix(g.Entry, "net/http.(*conn).serve") || strings.HasPrefix(g.Entry, "net/http.(*Server).Serve.gowrap"))
}

package page

import (
	"net/http"
	"time"
)

// writeTimeout is how long a client may take none of what is sent to it.
const writeTimeout = 10 * time.Second

// patient writes for as long as the client takes something: the deadline of a server
// is for answers that are short. Frameworks that know no deadlines (Fiber) have
// their own.
type patient struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func newPatient(w http.ResponseWriter) patient { return patient{w, http.NewResponseController(w)} }

// Write sends b within a deadline of its own.
func (p patient) Write(b []byte) (int, error) {
	_ = p.control.SetWriteDeadline(time.Now().Add(writeTimeout)) // where unsupported the server's holds
	return p.w.Write(b)
}

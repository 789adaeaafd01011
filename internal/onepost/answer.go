// SPDX-License-Identifier: Apache-2.0

package onepost

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// maxRetryAfter bounds how long a server can ask to be left alone.
const maxRetryAfter = time.Hour

// RetryAfter returns the time that the header Retry-After of an answer asks for, in seconds or as a
// date, at most one hour. It returns 0 if there is no such header.
func RetryAfter(resp *http.Response) time.Duration {
	value := resp.Header.Get("Retry-After")
	seconds, err := strconv.ParseUint(value, 10, 31)
	after := time.Duration(seconds) * time.Second //nolint:gosec // 31 bits
	if err != nil {
		at, err := http.ParseTime(value)
		if err != nil {
			return 0
		}
		after = time.Until(at)
	}
	return min(max(0, after), maxRetryAfter)
}

// Excerpt returns the beginning of the body of an answer, for errors, without what cannot be printed. Of a
// google.rpc.Status in protobuf that leaves the message.
func Excerpt(body io.Reader) string {
	const most = 300
	b, _ := io.ReadAll(io.LimitReader(body, most)) // an excerpt of what can be read
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r) || r == unicode.ReplacementChar:
			return -1
		default:
			return r
		}
	}, string(b)))
}

// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// SignatureHeader is the header with the signature of a request of [JSON].
const SignatureHeader = "Gmpulse-Signature"

// Verify returns an error unless the value of [SignatureHeader] signs the body of a request with the
// secret and is not older than window, which should be five minutes. Within that time
// another client could send a copy of the request, which the id of each event reveals.
//
// The value is "t=TIME,v1=SIGNATURE". TIME is in seconds since 1970, and SIGNATURE is the HMAC-SHA256, in
// hexadecimal digits, of TIME, a dot and the body, with the secret as the key.
func Verify(secret, value string, body []byte, window time.Duration) error {
	var at, sum string
	for part := range strings.SplitSeq(value, ",") {
		if v, ok := strings.CutPrefix(part, "t="); ok {
			at = v
		} else if v, ok := strings.CutPrefix(part, "v1="); ok {
			sum = v
		}
	}
	seconds, err := strconv.ParseInt(at, 10, 64)
	given, err2 := hex.DecodeString(sum)
	if err != nil || err2 != nil || secret == "" || !hmac.Equal(given, mac(secret, at+"."+string(body))) {
		return errors.New("webhook: the signature is not valid")
	}
	if age := time.Since(time.Unix(seconds, 0)).Abs(); age > window {
		return fmt.Errorf("webhook: the signature is of another time, by %v", age.Round(time.Second))
	}
	return nil
}

// signature returns the value of SignatureHeader.
func signature(secret string, now time.Time, body []byte) string {
	at := strconv.FormatInt(now.Unix(), 10)
	return "t=" + at + ",v1=" + hex.EncodeToString(mac(secret, at+"."+string(body)))
}

func mac(key, text string) []byte {
	m := hmac.New(sha256.New, []byte(key))
	_, _ = m.Write([]byte(text)) // never fails, by its documentation
	return m.Sum(nil)
}

// signFeishu adds the signature of Feishu to a message: the time and the secret are the key, the text is
// empty.
func signFeishu(message map[string]any, secret string, now time.Time) {
	if secret == "" {
		return
	}
	at := strconv.FormatInt(now.Unix(), 10)
	message["timestamp"], message["sign"] = at, base64.StdEncoding.EncodeToString(mac(at+"\n"+secret, ""))
}

// dingTalkQuery adds the signature of DingTalk to a query: the secret is the key, the time in milliseconds
// and the secret are the text.
func dingTalkQuery(q url.Values, secret string, now time.Time) string {
	at := strconv.FormatInt(now.UnixMilli(), 10)
	q.Set("timestamp", at)
	q.Set("sign", base64.StdEncoding.EncodeToString(mac(secret, at+"\n"+secret)))
	return q.Encode()
}

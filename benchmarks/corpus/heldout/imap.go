// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"fmt"
	"io"
	"log"
	"strings"
	"time"

	"example.com/corpus/kit"
	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
)

// imapIdle imitates emersion/go-imap's cmd/imapmemserver: mail programs log in, select
// the inbox, and wait in IDLE for two minutes on average. There are 20 users, and a
// mail comes every four seconds. It has no spans.
func imapIdle() kit.Program {
	return kit.Program{Name: "imap-idle", Library: "emersion/go-imap/v2", Spans: kit.None, Run: func(w *kit.World) {
		mem := imapmemserver.New()
		var users []*imapmemserver.User
		for i := range 20 {
			u := imapmemserver.NewUser(fmt.Sprintf("user%d", i), "secret")
			kit.Must(u.Create("INBOX", nil))
			mem.AddUser(u)
			users = append(users, u)
		}
		n := 0
		go w.Arrivals(w.Ctx, kit.Wave(0.25), func() {
			n++
			mail := strings.NewReader("From: shop@example.com\r\nSubject: your order\r\n\r\nThank you.\r\n")
			_, err := users[n%len(users)].Append("INBOX", mail, &imap.AppendOptions{})
			kit.Must(err)
		})
		l := w.Listen()
		w.Role("mail programs", l.Addr().String())
		server := imapserver.New(&imapserver.Options{
			NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				return mem.NewSession(), nil, nil
			},
			Caps: imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapIMAP4rev2: {}}, InsecureAuth: true, Logger: log.New(io.Discard, "", 0),
		})
		kit.Must(server.Serve(l))
	}, Roles: map[string]func(*kit.Role){"mail programs": mailPrograms}}
}

func mailPrograms(r *kit.Role) {
	var address string
	r.Args(&address)
	r.Say("ok")
	n := 0
	r.Arrivals(r.Ctx, kit.Wave(1), func() {
		n++
		go idle(r, address, fmt.Sprintf("user%d", n%20))
	})
}

func idle(r *kit.Role, address, user string) {
	c, err := imapclient.DialInsecure(address, nil)
	if err != nil {
		return
	}
	defer c.Close() //nolint:errcheck // the session is over
	if c.Login(user, "secret").Wait() != nil {
		return
	}
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		return
	}
	wait, err := c.Idle()
	if err != nil {
		return
	}
	kit.Sleep(r.Ctx, kit.Around(2*time.Minute))
	if wait.Close() == nil && wait.Wait() == nil {
		_ = c.Logout().Wait()
	}
}

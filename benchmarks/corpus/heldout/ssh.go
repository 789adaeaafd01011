// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"time"

	"example.com/corpus/kit"
	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// sftpServer is an SFTP server as in the examples of pkg/sftp, to which clients
// connect and are idle most of the time: a session lasts two minutes on average and
// lists a folder every 40 s. pkg/sftp has eight workers for each session. It has no
// spans.
func sftpServer() kit.Program {
	return kit.Program{Name: "ssh-sftp", Library: "pkg/sftp", Spans: kit.None, Run: func(w *kit.World) {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		kit.Must(err)
		signer, err := ssh.NewSignerFromKey(key)
		kit.Must(err)
		config := &ssh.ServerConfig{NoClientAuth: true}
		config.AddHostKey(signer)
		l := w.Listen()
		w.Role("clients", l.Addr().String())
		for {
			conn, err := l.Accept()
			kit.Must(err)
			go serveSSH(conn, config)
		}
	}, Roles: map[string]func(*kit.Role){"clients": sftpClients}}
}

func serveSSH(conn net.Conn, config *ssh.ServerConfig) {
	sc, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	defer sc.Close() //nolint:errcheck // the session is over
	go ssh.DiscardRequests(requests)
	for c := range channels {
		if c.ChannelType() != "session" {
			_ = c.Reject(ssh.UnknownChannelType, "no")
			continue
		}
		channel, requests, err := c.Accept()
		if err != nil {
			return
		}
		go func() {
			for r := range requests {
				ok := r.Type == "subsystem" && len(r.Payload) > 4 && string(r.Payload[4:]) == "sftp" && binary.BigEndian.Uint32(r.Payload) == 4
				_ = r.Reply(ok, nil)
			}
		}()
		go func() {
			s := sftp.NewRequestServer(channel, sftp.InMemHandler())
			_ = s.Serve()
			_ = s.Close()
		}()
	}
}

func sftpClients(r *kit.Role) {
	var address string
	r.Args(&address)
	r.Say("ok")
	config := &ssh.ClientConfig{User: "corpus", HostKeyCallback: func(string, net.Addr, ssh.PublicKey) error { return nil }, Timeout: 10 * time.Second}
	r.Arrivals(r.Ctx, kit.Wave(1.2), func() { go sftpSession(r, address, config) })
}

func sftpSession(r *kit.Role, address string, config *ssh.ClientConfig) {
	conn, err := ssh.Dial("tcp", address, config)
	if err != nil {
		return
	}
	defer conn.Close() //nolint:errcheck // the session is over
	client, err := sftp.NewClient(conn)
	if err != nil {
		return
	}
	defer client.Close() //nolint:errcheck // the session is over
	for end := time.Now().Add(kit.Around(2 * time.Minute)); time.Now().Before(end) && kit.Sleep(r.Ctx, kit.Around(40*time.Second)); {
		if _, err := client.ReadDir("/"); errors.Is(err, sftp.ErrSSHFxConnectionLost) {
			return
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package kit

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// NoPostgres returns why there is no PostgreSQL to run, or "".
func NoPostgres() string {
	for _, program := range []string{"initdb", "postgres"} {
		if _, err := exec.LookPath(program); err != nil {
			return "PostgreSQL is not installed"
		}
	}
	if os.Getuid() == 0 {
		if _, err := user.Lookup("postgres"); err != nil {
			return "PostgreSQL does not run as root"
		}
	}
	return ""
}

// postgres is a role: a PostgreSQL server of its own, in a temporary folder. It says
// its URL.
func postgres(r *Role) {
	dir, err := os.MkdirTemp("", "corpus-postgres-")
	Must(err)
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	as := notRoot(dir)
	data := filepath.Join(dir, "data")
	initdb := exec.Command("initdb", "-D", data, "-U", "corpus", "-A", "trust", "-N")
	initdb.SysProcAttr, initdb.Dir = as, dir
	out, err := initdb.CombinedOutput()
	if err != nil {
		Must(fmt.Errorf("%w: %s", err, out))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	Must(err)
	port := l.Addr().(*net.TCPAddr).Port //nolint:errcheck // a TCP listener's address
	_ = l.Close()
	server := exec.CommandContext(r.Ctx, "postgres", "-D", data, "-k", dir, "-h", "127.0.0.1", "-p", strconv.Itoa(port), "-F", "-c", "max_connections=300")
	server.SysProcAttr, server.Dir, server.Stderr = as, dir, os.Stderr
	server.Cancel = func() error { return server.Process.Signal(syscall.SIGQUIT) }
	Must(server.Start())
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	for range 100 {
		if c, err := net.Dial("tcp", address); err == nil {
			_ = c.Close()
			break
		}
		Sleep(r.Ctx, 100*time.Millisecond)
	}
	r.Say(strings.TrimSpace("postgres://corpus@" + address + "/postgres?sslmode=disable"))
	_ = server.Wait()
}

// notRoot returns the attributes of a process that does not run as root, and gives
// it dir.
func notRoot(dir string) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{}
	if os.Getuid() != 0 {
		return a
	}
	u, err := user.Lookup("postgres")
	Must(err)
	uid, err := strconv.Atoi(u.Uid)
	Must(err)
	gid, err := strconv.Atoi(u.Gid)
	Must(err)
	Must(os.Chown(dir, uid, gid))
	a.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)} //nolint:gosec // ids fit
	return a
}

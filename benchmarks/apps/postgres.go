// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

var errNoUser = errors.New("PostgreSQL does not run as root, and there is no user postgres")

// postgresInstalled returns why there is no PostgreSQL to run, or nil.
func postgresInstalled() error {
	for _, program := range []string{"initdb", "postgres"} {
		if _, err := exec.LookPath(program); err != nil {
			return err
		}
	}
	if _, err := user.Lookup("postgres"); os.Getuid() == 0 && err != nil {
		return errNoUser
	}
	return nil
}

// databases is a PostgreSQL server in a temporary directory, once it is needed.
type databases struct {
	dir, address string
	server       *exec.Cmd
}

// url returns the URL of a database with the tables of the applications.
func (d *databases) url() (string, error) {
	if d.server != nil {
		return d.address, nil
	}
	var err error
	if d.dir, err = os.MkdirTemp("", "apps-postgres-"); err != nil {
		return "", err
	}
	as, err := notRoot(d.dir)
	if err != nil {
		return "", err
	}
	data := filepath.Join(d.dir, "data")
	initdb := exec.Command("initdb", "-D", data, "-U", "apps", "-A", "trust", "-N")
	initdb.SysProcAttr, initdb.Dir = as, d.dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return "", fmt.Errorf("initdb: %w: %s", err, out)
	}
	port, err := freePort()
	if err != nil {
		return "", err
	}
	d.server = exec.Command("postgres", "-D", data, "-k", d.dir, "-h", "127.0.0.1", "-p", port, "-F")
	d.server.SysProcAttr, d.server.Dir = as, d.dir
	if err := d.server.Start(); err != nil {
		d.server = nil
		return "", err
	}
	d.address = "postgres://apps@127.0.0.1:" + port + "/postgres?sslmode=disable"
	return d.address, d.fill()
}

// fill waits for the server and creates the tables.
func (d *databases) fill() (err error) {
	for range 100 {
		if err = fill(d.address); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

func (d *databases) stop() {
	if d.server != nil {
		_ = d.server.Process.Signal(syscall.SIGQUIT)
		_ = d.server.Wait() // ended by the signal
	}
	_ = os.RemoveAll(d.dir) // a temporary directory
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// notRoot returns the attributes of a process that does not run as root, and gives it dir.
func notRoot(dir string) (*syscall.SysProcAttr, error) {
	a := &syscall.SysProcAttr{}
	if os.Getuid() != 0 {
		return a, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return nil, err
	}
	a.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)} //nolint:gosec // ids fit
	return a, os.Chown(dir, uid, gid)
}

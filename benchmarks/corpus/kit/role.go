// SPDX-License-Identifier: Apache-2.0

package kit

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// Role is a process beside a program. It ends with the program.
type Role struct {
	Clock
	Ctx  context.Context //nolint:containedctx // a Role is made for one run and is passed around as its context
	args json.RawMessage
}

// Args decodes what the program gave to [World.Role].
func (r *Role) Args(into any) { Must(json.Unmarshal(r.args, into)) }

// Say answers the program: line is what [World.Role] returns there.
func (r *Role) Say(line string) { fmt.Println(line) }

// order is what a role is told through its environment.
type order struct {
	Program, Role string
	Start         time.Time
	For           time.Duration
	Args          json.RawMessage
}

const orderVariable = "CORPUS_ROLE"

type roles struct {
	mu      sync.Mutex
	running []running
}

// Role starts a process that runs the role of this name, of the program or one of
// the kit's, and returns the first line it says.
func (w *World) Role(name string, args any) string {
	raw, err := json.Marshal(args)
	Must(err)
	env, err := json.Marshal(order{w.program.Name, name, w.Start, w.For, raw})
	Must(err)
	self, err := os.Executable()
	Must(err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), orderVariable+"="+string(env))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe() // closed when this process ends, which ends the role
	Must(err)
	out, err := cmd.StdoutPipe()
	Must(err)
	Must(cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	Must(err)
	w.roles.mu.Lock()
	defer w.roles.mu.Unlock()
	w.roles.running = append(w.roles.running, running{cmd, in})
	return strings.TrimSpace(line)
}

// running is the process of a role, and what ends it when it is closed.
type running struct {
	cmd   *exec.Cmd
	stdin io.Closer
}

// stop ends the roles: those that do not end by themselves are killed.
func (r *roles) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.running {
		_ = p.stdin.Close()
	}
	for _, p := range r.running {
		late := time.AfterFunc(5*time.Second, func() { _ = p.cmd.Process.Kill() })
		_, _ = p.cmd.Process.Wait()
		late.Stop()
	}
}

// RunRole runs a role if this process was started for one, and does not return then.
func RunRole(programs []Program) {
	env := os.Getenv(orderVariable)
	if env == "" {
		return
	}
	var o order
	Must(json.Unmarshal([]byte(env), &o))
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	role := builtin()[o.Role]
	for _, p := range programs {
		if f := p.Roles[o.Role]; p.Name == o.Program && f != nil {
			role = f
		}
	}
	if role == nil {
		Must(fmt.Errorf("%s has no role %q", o.Program, o.Role))
	}
	role(&Role{Clock{o.Start, o.For}, ctx, o.Args})
	<-ctx.Done()
	os.Exit(0)
}

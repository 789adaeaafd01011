// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// process is a server process.
type process struct {
	address string
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

// start starts a server process with the program that runs now.
func start(a app, c config) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	settings, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	p := &process{command: exec.Command(self, "-serve", a.name, "-config", string(settings))}
	p.command.Stderr = os.Stderr
	if p.in, err = p.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	if p.address, err = p.out.ReadString('\n'); err != nil {
		return nil, errors.Join(fmt.Errorf("%s did not start: %w", a.name, err), p.stop())
	}
	p.address = strings.TrimSpace(p.address)
	return p, nil
}

var errServer = errors.New("server process")

// do sends a command and returns the reading after it.
func (p *process) do(command string) (reading, error) {
	if _, err := fmt.Fprintln(p.in, command); err != nil {
		return reading{}, err
	}
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return reading{}, err
	}
	var r reading
	if err := json.Unmarshal(line, &r); err != nil {
		return reading{}, err
	}
	if r.Error != "" {
		return reading{}, fmt.Errorf("%w: %s: %s", errServer, command, r.Error)
	}
	return r, nil
}

// stop ends the process and waits for it.
func (p *process) stop() error {
	_ = p.in.Close() // the process ends
	timer := time.AfterFunc(15*time.Second, func() { _ = p.command.Process.Kill() })
	defer timer.Stop()
	return p.command.Wait()
}

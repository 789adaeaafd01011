// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/api"
	promapi "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// prometheus is a Prometheus that scrapes the fleet.
type prometheus struct {
	url  string
	data string // its folder
	api  promapi.API
	cmd  *exec.Cmd
	logs bytes.Buffer
}

func startPrometheus(ctx context.Context, dir string, c config, f *fleet) (*prometheus, error) {
	if _, err := exec.LookPath("prometheus"); err != nil {
		return nil, fmt.Errorf("%w; apt-get install prometheus", err)
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	rules, err := os.ReadFile("../examples/deploy/prometheus/rules.yml")
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{"prometheus.yml": fmt.Appendf(nil, configuration, c.interval, c.interval, address), "rules.yml": rules}
	if files["targets.json"], err = json.Marshal(f.targets()); err != nil {
		return nil, err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return nil, err
		}
	}
	p := &prometheus{url: "http://" + address, data: filepath.Join(dir, "data")}
	p.cmd = exec.Command("prometheus", "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+p.data,
		"--web.listen-address="+address, "--web.enable-admin-api") // for the snapshot
	p.cmd.Stderr = &p.logs
	client, err := api.NewClient(api.Config{Address: p.url})
	if err != nil {
		return nil, err
	}
	p.api = promapi.NewAPI(client)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	for range 300 {
		if _, err = p.api.Buildinfo(ctx); err == nil {
			return p, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	p.stop()
	return nil, fmt.Errorf("prometheus does not answer: %w\n%s", err, p.logs.String())
}

func (p *prometheus) stop() {
	_ = p.cmd.Process.Signal(os.Interrupt)
	_ = p.cmd.Wait()
}

// number returns the value of a query that has one.
func (p *prometheus) number(ctx context.Context, query string) (float64, error) {
	value, _, _, err := p.api.Query(ctx, query, time.Now())
	if err != nil {
		return 0, fmt.Errorf("%s: %w", query, err)
	}
	v, ok := value.(model.Vector)
	if !ok || len(v) != 1 {
		return 0, fmt.Errorf("%s: %v instead of one value", query, value)
	}
	return float64(v[0].Value), nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

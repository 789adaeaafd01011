// SPDX-License-Identifier: Apache-2.0

package kit

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

const token = "GMPULSE_TOKEN=0123456789abcdef"

// compose loads the kit as docker compose does, with every profile.
func compose(t *testing.T, env []string, files ...string) (*types.Project, error) {
	t.Helper()
	for i, f := range files {
		files[i] = filepath.Join(deploy, f)
	}
	options, err := cli.NewProjectOptions(files, cli.WithName("kit"), cli.WithEnv(env), cli.WithProfiles([]string{"*"}))
	if err != nil {
		t.Fatal(err)
	}
	return cli.ProjectFromOptions(context.WithoutCancel(t.Context()), options)
}

// ways are those in which the kit can be started.
func ways(t *testing.T) map[string]*types.Project {
	t.Helper()
	all := map[string]*types.Project{}
	for name, way := range map[string]struct{ env, files []string }{
		"one machine":     {[]string{token}, []string{"docker-compose.yml"}},
		"with Fluent Bit": {[]string{token, "STREAM_TO=fluent-bit"}, []string{"docker-compose.yml"}},
		"at scale":        {[]string{token}, []string{"docker-compose.yml", "docker-compose.scale.yml"}},
	} {
		p, err := compose(t, way.env, way.files...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all[name] = p
	}
	return all
}

// Without a token the kit does not start, and says where to put one.
func TestComposeWantsAToken(t *testing.T) {
	for _, env := range [][]string{nil, {"GMPULSE_TOKEN="}} {
		if _, err := compose(t, env, "docker-compose.yml"); err == nil || !strings.Contains(err.Error(), ".env.example") {
			t.Errorf("with %v: %v", env, err)
		}
	}
	example, err := os.ReadFile(filepath.Join(deploy, ".env.example"))
	if err != nil || !strings.Contains(string(example), "\nGMPULSE_TOKEN=\n") {
		t.Errorf(".env.example: %v, and no token to fill in", err)
	}
}

// Whoever has the token hands it to the app, and Prometheus finds it where its
// configuration says.
func TestComposeToken(t *testing.T) {
	for name, p := range ways(t) {
		if v := p.Services["app"].Environment["GMPULSE_TOKEN"]; v == nil || "GMPULSE_TOKEN="+*v != token {
			t.Errorf("%s: the app has no token", name)
		}
		if _, ok := p.Services["app"].Environment["GMPULSE_INSECURE"]; ok {
			t.Errorf("%s: the app is open to everybody", name)
		}
		prometheus := p.Services["prometheus"]
		i := slices.IndexFunc(prometheus.Volumes, func(v types.ServiceVolumeConfig) bool { return strings.HasSuffix(v.Source, "compose.yml") })
		config := prometheus.Volumes[i]
		data, err := os.ReadFile(config.Source)
		if err != nil {
			t.Fatal(err)
		}
		file := regexp.MustCompile(`credentials_file: (\S+)`).FindStringSubmatch(string(data))
		if file == nil || len(prometheus.Secrets) != 1 || prometheus.Secrets[0].Target != path.Join(path.Dir(config.Target), file[1]) {
			t.Errorf("%s: the token is at %+v, Prometheus looks at %v", name, prometheus.Secrets, file)
		}
		if s := p.Secrets[prometheus.Secrets[0].Source]; s.Environment != "GMPULSE_TOKEN" {
			t.Errorf("%s: the secret is %+v", name, s)
		}
	}
}

// Files that are mounted and built from exist.
func TestComposeFiles(t *testing.T) {
	for name, p := range ways(t) {
		for _, s := range p.Services {
			if s.Build != nil && s.Build.Dockerfile != "" && s.Build.DockerfileInline == "" {
				exists(t, name, filepath.Join(s.Build.Context, s.Build.Dockerfile))
			}
			for _, v := range s.Volumes {
				if v.Type == types.VolumeTypeBind {
					exists(t, name, v.Source)
				}
			}
		}
	}
}

func exists(t *testing.T, way, file string) {
	t.Helper()
	if _, err := os.Stat(file); err != nil {
		t.Errorf("%s: %v", way, err)
	}
}

// Every host and port that a file or a variable names is a service and one of its
// ports.
func TestComposeAddresses(t *testing.T) {
	for name, p := range ways(t) {
		found := 0
		for _, s := range p.Services {
			for _, a := range addresses(mentions(t, &s)) {
				if a.host == "localhost" {
					continue // in the container itself, or in the browser
				}
				found++
				target, ok := p.Services[a.host]
				if ok && !slices.Contains(ports(&target), a.port) {
					t.Errorf("%s: %s asks for %s, whose ports are %v", name, s.Name, a, ports(&target))
				} else if !ok {
					t.Errorf("%s: %s asks for %s, which is no service", name, s.Name, a)
				}
			}
		}
		if found < 10 {
			t.Errorf("%s: only %d addresses found", name, found)
		}
	}
}

// A port that a service of ours offers is one that its files or variables tell it
// to listen on.
func TestComposePorts(t *testing.T) {
	p := ways(t)["one machine"]
	for _, name := range []string{"app", "collector", "jaeger", "fluentd", "fluent-bit"} {
		s := p.Services[name]
		text := mentions(t, &s)
		for _, port := range ports(&s) {
			if !regexp.MustCompile(`(?m)(0\.0\.0\.0:|port:? )` + port + `\b`).MatchString(text) {
				t.Errorf("%s offers port %s and does not listen there", name, port)
			}
		}
	}
}

// What the app writes for Filebeat is where Filebeat looks, under the name that
// rotation gives it too.
func TestComposeFilebeat(t *testing.T) {
	p := ways(t)["one machine"]
	app, filebeat := p.Services["app"], p.Services["filebeat"]
	_, file, ok := strings.Cut(strings.Join(app.Command, " "), "-jsonl=")
	paths := regexp.MustCompile(`paths: \["(.*)"\]`).FindStringSubmatch(mentions(t, &filebeat))
	if !ok || paths == nil {
		t.Fatalf("the app writes %q, Filebeat reads %v", file, paths)
	}
	for _, written := range []string{file, file + ".1"} {
		if read, err := path.Match(paths[1], written); !read || err != nil {
			t.Errorf("%s is not read: %v", written, err)
		}
	}
	if a, b := volumeAt(&app, path.Dir(file)), volumeAt(&filebeat, path.Dir(file)); a == "" || a != b {
		t.Errorf("the app writes to volume %q, Filebeat reads %q", a, b)
	}
}

// Everything that must outlive its container is on a volume.
func TestComposeVolumes(t *testing.T) {
	p := ways(t)["at scale"]
	for service, dirs := range map[string][]string{
		"app": {"/spool", "/var/log/app"}, "fluentd": {"/fluentd/buffer"}, "fluent-bit": {"/var/lib/fluent-bit"},
		"filebeat": {"/usr/share/filebeat/data"}, "elasticsearch": {"/usr/share/elasticsearch/data"},
		"kafka": {"/var/lib/kafka/data"}, "cassandra": {"/var/lib/cassandra"},
	} {
		s := p.Services[service]
		for _, dir := range dirs {
			if volumeAt(&s, dir) == "" {
				t.Errorf("%s has no volume at %s", service, dir)
			}
		}
		if text := mentions(t, &s); (service == "fluentd" || service == "fluent-bit") && !strings.Contains(text, dirs[0]+"/") {
			t.Errorf("%s does not write below %s", service, dirs[0])
		}
	}
}

func volumeAt(s *types.ServiceConfig, target string) string {
	for _, v := range s.Volumes {
		if v.Type == types.VolumeTypeVolume && v.Target == target {
			return v.Source
		}
	}
	return ""
}

// mentions is the text that a service goes by: its command, its variables, and the
// files mounted into it.
func mentions(t *testing.T, s *types.ServiceConfig) string {
	t.Helper()
	text := strings.Join(slices.Concat(s.Entrypoint, s.Command), "\n") + "\n"
	for _, name := range slices.Sorted(maps.Keys(s.Environment)) {
		if v := s.Environment[name]; v != nil {
			text += *v + "\n"
		}
	}
	for _, v := range s.Volumes {
		if v.Type != types.VolumeTypeBind {
			continue
		}
		err := filepath.WalkDir(v.Source, func(file string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			data, err := os.ReadFile(file)
			for line := range strings.Lines(string(data)) {
				if !strings.HasPrefix(strings.TrimSpace(line), "#") {
					text += line
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return text
}

type address struct{ host, port string }

func (a address) String() string { return a.host + ":" + a.port }

// addresses finds host:port, and what Fluentd and Fluent Bit write on two lines.
func addresses(text string) (all []address) {
	for _, pattern := range []string{
		`(?m)(?:^|[\s"'/@\[,])([a-z][a-z0-9-]*):(\d{2,5})\b`,
		`(?m)^\s*host:? +([a-z][a-z0-9-]*)\n\s*port:? +(\d+)`,
	} {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			all = append(all, address{m[1], m[2]})
		}
	}
	return all
}

// ports are those inside of a service's container that others can reach.
func ports(s *types.ServiceConfig) (all []string) {
	all = slices.Clone(s.Expose)
	for _, p := range s.Ports {
		all = append(all, strconv.FormatUint(uint64(p.Target), 10))
	}
	return all
}

func TestAddresses(t *testing.T) {
	const text = `
	endpoint: jaeger:4317
	servers: ["cassandra:9042", 'kafka:9092']
	url: http://prometheus:9090/api
	PLAINTEXT://kafka:9092,CONTROLLER://:9093
	voters 1@kafka:9093
	listen 0.0.0.0:4317 localhost:16686
	host elasticsearch
	port 9200
`
	want := "[jaeger:4317 cassandra:9042 kafka:9092 prometheus:9090 kafka:9092 kafka:9093 localhost:16686 elasticsearch:9200]"
	if got := fmt.Sprint(addresses(text)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

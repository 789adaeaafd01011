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

// compose loads files of examples/deploy like docker compose, with every profile.
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

// variants returns the documented ways to start examples/deploy.
func variants(t *testing.T) map[string]*types.Project {
	t.Helper()
	all := map[string]*types.Project{}
	for name, v := range map[string]struct{ env, files []string }{
		"one machine":     {[]string{token}, []string{"docker-compose.yml"}},
		"with Fluent Bit": {[]string{token, "STREAM_TO=fluent-bit"}, []string{"docker-compose.yml"}},
		"at scale":        {[]string{token}, []string{"docker-compose.yml", "docker-compose.scale.yml"}},
	} {
		p, err := compose(t, v.env, v.files...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all[name] = p
	}
	return all
}

// Without a token Compose fails with an error that names the file for it.
func TestComposeRequiresAToken(t *testing.T) {
	for _, env := range [][]string{nil, {"GMPULSE_TOKEN="}} {
		if _, err := compose(t, env, "docker-compose.yml"); err == nil || !strings.Contains(err.Error(), ".env.example") {
			t.Errorf("with %v: %v", env, err)
		}
	}
	example, err := os.ReadFile(filepath.Join(deploy, ".env.example"))
	if err != nil || !strings.Contains(string(example), "\nGMPULSE_TOKEN=\n") {
		t.Errorf(".env.example: %v, or no line for the token", err)
	}
}

// The app gets the token, and Prometheus finds it in the file that its configuration
// names.
func TestComposePassesTheToken(t *testing.T) {
	for name, p := range variants(t) {
		if v := p.Services["app"].Environment["GMPULSE_TOKEN"]; v == nil || "GMPULSE_TOKEN="+*v != token {
			t.Errorf("%s: the app has no token", name)
		}
		if _, ok := p.Services["app"].Environment["GMPULSE_INSECURE"]; ok {
			t.Errorf("%s: the app does not require the token", name)
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

// Mounted files and Dockerfiles exist.
func TestComposeFilesExist(t *testing.T) {
	for name, p := range variants(t) {
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

func exists(t *testing.T, variant, file string) {
	t.Helper()
	if _, err := os.Stat(file); err != nil {
		t.Errorf("%s: %v", variant, err)
	}
}

// Every host and port in a file or variable is a service and one of its ports.
func TestComposeAddressesAreServices(t *testing.T) {
	for name, p := range variants(t) {
		found := 0
		for _, s := range p.Services {
			for _, a := range addresses(configText(t, &s)) {
				if a.host == "localhost" {
					continue // in the container or the browser
				}
				found++
				target, ok := p.Services[a.host]
				if ok && !slices.Contains(ports(&target), a.port) {
					t.Errorf("%s: %s uses %s, whose ports are %v", name, s.Name, a, ports(&target))
				} else if !ok {
					t.Errorf("%s: %s uses %s, which is no service", name, s.Name, a)
				}
			}
		}
		if found < 10 {
			t.Errorf("%s: only %d addresses found", name, found)
		}
	}
}

// The files or variables of a service make it listen on the ports that it exposes.
func TestComposeServicesListenOnTheirPorts(t *testing.T) {
	p := variants(t)["one machine"]
	for _, name := range []string{"app", "collector", "jaeger", "fluentd", "fluent-bit"} {
		s := p.Services[name]
		text := configText(t, &s)
		for _, port := range ports(&s) {
			if !regexp.MustCompile(`(?m)(0\.0\.0\.0:|port:? )` + port + `\b`).MatchString(text) {
				t.Errorf("%s exposes port %s and does not listen on it", name, port)
			}
		}
	}
}

// Filebeat reads the files that the app writes, including rotated ones.
func TestComposeFilebeatReadsTheAppsFiles(t *testing.T) {
	p := variants(t)["one machine"]
	app, filebeat := p.Services["app"], p.Services["filebeat"]
	_, file, ok := strings.Cut(strings.Join(app.Command, " "), "-jsonl=")
	paths := regexp.MustCompile(`paths: \["(.*)"\]`).FindStringSubmatch(configText(t, &filebeat))
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

// Data that must outlive its container is on a volume.
func TestComposePersistsData(t *testing.T) {
	p := variants(t)["at scale"]
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
		if text := configText(t, &s); (service == "fluentd" || service == "fluent-bit") && !strings.Contains(text, dirs[0]+"/") {
			t.Errorf("%s does not write to %s", service, dirs[0])
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

// configText returns the command, the variables and the mounted files of a service.
func configText(t *testing.T, s *types.ServiceConfig) string {
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

// addresses returns each host:port in a text, and those that Fluentd and Fluent Bit write
// on two lines.
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

// ports returns the ports of a container that other services can reach.
func ports(s *types.ServiceConfig) (all []string) {
	all = slices.Clone(s.Expose)
	for _, p := range s.Ports {
		all = append(all, strconv.FormatUint(uint64(p.Target), 10))
	}
	return all
}

func TestAddressesAreFound(t *testing.T) {
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

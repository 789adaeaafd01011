package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.yaml.in/yaml/v3"
)

// The files of examples/deploy are tested here because this module has a YAML
// parser and the Collector.
const deploy = "../../../examples/deploy"

func TestDeployIsYAML(t *testing.T) {
	n := 0
	err := filepath.WalkDir(deploy, func(path string, e fs.DirEntry, err error) error {
		if ext := filepath.Ext(path); err != nil || e.IsDir() || ext != ".yml" && ext != ".yaml" {
			return err
		}
		n++
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		for dec := yaml.NewDecoder(f); ; {
			var document map[string]any
			switch err := dec.Decode(&document); {
			case errors.Is(err, io.EOF):
				return nil
			case err != nil || len(document) == 0:
				t.Errorf("%s: %v, %d keys", path, err, len(document))
				return nil
			}
		}
	})
	if err != nil || n < 8 {
		t.Errorf("%d files, %v", n, err)
	}
}

// parse reads one YAML file of examples/deploy.
func parse(t *testing.T, file string, into any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(deploy, file))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(b, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// The Collector's own receiver takes its section, and pipelines name what there is.
func TestDeployCollector(t *testing.T) {
	var c struct {
		Receivers, Processors, Exporters map[string]map[string]any
		Service                          struct {
			Pipelines map[string]map[string][]string
		}
	}
	parse(t, "collector/collector.yaml", &c)
	config := otlpreceiver.NewFactory().CreateDefaultConfig()
	if err := confmap.NewFromStringMap(c.Receivers["otlp"]).Unmarshal(config); err != nil {
		t.Error(err)
	}
	parts := map[string]map[string]map[string]any{"receivers": c.Receivers, "processors": c.Processors, "exporters": c.Exporters}
	for name, pipeline := range c.Service.Pipelines {
		for part, used := range pipeline {
			for _, u := range used {
				if _, ok := parts[part][u]; !ok {
					t.Errorf("pipeline %s: there is no %s %s", name, strings.TrimSuffix(part, "s"), u)
				}
			}
		}
	}
	if len(c.Service.Pipelines) < 2 {
		t.Errorf("%d pipelines", len(c.Service.Pipelines))
	}
}

// Files that are mounted exist, so do volumes, and services that others wait for.
func TestDeployCompose(t *testing.T) {
	var c struct {
		Services map[string]struct {
			Build     struct{ Context, Dockerfile string }
			Volumes   []string
			DependsOn yaml.Node `yaml:"depends_on"`
		}
		Volumes map[string]any
	}
	parse(t, "docker-compose.yml", &c)
	if len(c.Services) < 8 {
		t.Fatalf("%d services", len(c.Services))
	}
	for name, s := range c.Services {
		if s.Build.Dockerfile != "" {
			exists(t, name, filepath.Join(s.Build.Context, s.Build.Dockerfile))
		}
		for _, v := range s.Volumes {
			source, _, _ := strings.Cut(v, ":")
			if strings.HasPrefix(source, "./") {
				exists(t, name, source)
			} else if _, ok := c.Volumes[source]; !ok {
				t.Errorf("%s: there is no volume %s", name, source)
			}
		}
		for i, n := range s.DependsOn.Content {
			if s.DependsOn.Kind == yaml.MappingNode && i%2 == 1 {
				continue // the condition
			}
			if _, ok := c.Services[n.Value]; !ok {
				t.Errorf("%s waits for %s, which is no service", name, n.Value)
			}
		}
	}
}

// Filebeat looks at a file under the name that rotation gives it too.
func TestDeployFilebeat(t *testing.T) {
	var c struct {
		Inputs []struct{ Paths []string } `yaml:"filebeat.inputs"`
	}
	parse(t, "filebeat/filebeat.yml", &c)
	if len(c.Inputs) != 1 || len(c.Inputs[0].Paths) != 1 {
		t.Fatalf("inputs %v", c.Inputs)
	}
	for _, name := range []string{"runtime.jsonl", "runtime.jsonl.1"} {
		if ok, err := filepath.Match(filepath.Base(c.Inputs[0].Paths[0]), name); !ok || err != nil {
			t.Errorf("%s is not read: %v", name, err)
		}
	}
}

func exists(t *testing.T, service, file string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(deploy, file)); err != nil {
		t.Errorf("%s: %v", service, err)
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/kafkaexporter"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter/otlpexporter"
	"go.opentelemetry.io/collector/exporter/otlphttpexporter"
	"go.opentelemetry.io/collector/processor/batchprocessor"
	"go.opentelemetry.io/collector/processor/memorylimiterprocessor"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.yaml.in/yaml/v3"
)

// The other files of examples/deploy are tested in internal/kit.
const deploy = "../../../examples/deploy"

func TestDeployFilesAreYAML(t *testing.T) {
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

// factory is the common part of the factories of receivers, processors and exporters.
type factory interface {
	Type() component.Type
	CreateDefaultConfig() component.Config
}

// Each component accepts its section of the configuration, and pipelines refer to
// components that exist. internal/e2e runs the same files in Jaeger, which contains an
// older Collector.
func TestDeployCollectorConfigIsValid(t *testing.T) {
	parts := map[string][]factory{
		"receivers":  {otlpreceiver.NewFactory()},
		"processors": {memorylimiterprocessor.NewFactory(), batchprocessor.NewFactory()},
		"exporters":  {otlpexporter.NewFactory(), otlphttpexporter.NewFactory(), kafkaexporter.NewFactory()},
	}
	for _, files := range [][]string{{"collector.yaml"}, {"collector.yaml", "scale.yaml"}} {
		all := merged(t, files)
		for kind, factories := range parts {
			for name := range section(t, all, kind).ToStringMap() {
				if name == "tail_sampling" {
					continue // its module has too many dependencies; internal/e2e runs it
				}
				config := defaults(factories, name)
				if config == nil {
					t.Errorf("%v: none of the %s has the type of %s", files, kind, name)
					continue
				}
				err := section(t, all, kind+"::"+name).Unmarshal(config)
				if err == nil {
					err = confmap.Validate(config)
				}
				if err != nil {
					t.Errorf("%v: %s: %v", files, name, err)
				}
			}
		}
		pipelines(t, files, all)
	}
}

// defaults returns the default configuration of the component of a section, which is
// named "type/name" or "type". It returns nil for an unknown type.
func defaults(factories []factory, section string) component.Config {
	typ, _, _ := strings.Cut(section, "/")
	for _, f := range factories {
		if f.Type().String() == typ {
			return f.CreateDefaultConfig()
		}
		// The OTLP exporters were renamed; the files use the name that older Collectors know.
		if old, ok := f.(interface{ DeprecatedAlias() component.Type }); ok && old.DeprecatedAlias().String() == typ {
			return f.CreateDefaultConfig()
		}
	}
	return nil
}

func section(t *testing.T, all *confmap.Conf, name string) *confmap.Conf {
	t.Helper()
	s, err := all.Sub(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// merged merges files as the Collector does.
func merged(t *testing.T, files []string) *confmap.Conf {
	t.Helper()
	all := confmap.New()
	for _, f := range files {
		var one map[string]any
		parse(t, filepath.Join("collector", f), &one)
		if err := all.Merge(confmap.NewFromStringMap(one)); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func pipelines(t *testing.T, files []string, all *confmap.Conf) {
	t.Helper()
	var service struct {
		Pipelines map[string]map[string][]string `mapstructure:"pipelines"`
	}
	err := section(t, all, "service").Unmarshal(&service)
	if err != nil || len(service.Pipelines) < 2 {
		t.Fatalf("%v: %d pipelines, %v", files, len(service.Pipelines), err)
	}
	for name, pipeline := range service.Pipelines {
		for part, used := range pipeline {
			for _, u := range used {
				if !all.IsSet(part + "::" + u) {
					t.Errorf("%v: pipeline %s: there is no %s in %s", files, name, u, part)
				}
			}
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package kit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
)

const deploy = "../../examples/deploy"

// manifests are the objects of examples/deploy, decoded strictly: an unknown field is an
// error, as in the API server.
type manifests struct {
	deployment *apps.Deployment
	service    *core.Service
	secret     *core.Secret
	monitor    *monitoring.PodMonitor
}

func decode(t *testing.T) (m manifests) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(apps.AddToScheme(scheme), core.AddToScheme(scheme), monitoring.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	files, err := filepath.Glob(deploy + "/kubernetes/*.yaml")
	if err != nil || len(files) != 2 {
		t.Fatalf("files %v, %v", files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for r := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data))); ; {
			document, err := r.Read()
			if errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			object, _, err := decoder.Decode(document, nil, nil)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			switch o := object.(type) {
			case *apps.Deployment:
				m.deployment = o
			case *core.Service:
				m.service = o
			case *core.Secret:
				m.secret = o
			case *monitoring.PodMonitor:
				m.monitor = o
			default:
				t.Errorf("%s has a %T, which is not tested", file, object)
			}
		}
	}
	if m.deployment == nil || m.service == nil || m.secret == nil || m.monitor == nil {
		t.Fatalf("an object is missing: %+v", m)
	}
	return m
}

// Probes use the port of the application, not of gmpulse, and a busy pod is removed from
// service long before it is killed.
func TestProbesUseTheApplication(t *testing.T) {
	c := &decode(t).deployment.Spec.Template.Spec.Containers[0]
	for name, probe := range map[string]*core.Probe{"readiness": c.ReadinessProbe, "liveness": c.LivenessProbe} {
		if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != "/readyz" {
			t.Fatalf("%s probe: %+v", name, probe)
		}
		i := slices.IndexFunc(c.Ports, func(p core.ContainerPort) bool { return p.Name == probe.HTTPGet.Port.String() })
		if i < 0 || c.Ports[i].Name == "gmpulse" || !slices.Contains(c.Args, fmt.Sprintf("-listen=0.0.0.0:%d", c.Ports[i].ContainerPort)) {
			t.Errorf("the %s probe uses port %s of %v, the application has %v", name, &probe.HTTPGet.Port, c.Ports, c.Args)
		}
	}
	limit := func(p *core.Probe) int32 { return p.PeriodSeconds * p.FailureThreshold }
	if ready, alive := limit(c.ReadinessProbe), limit(c.LivenessProbe); alive < 10*ready {
		t.Errorf("out of service after %d s, killed after %d s", ready, alive)
	}
}

// The variables of the pod have the fields of their names. examples/deploy tests that the agent
// reads variables of these names.
func TestVariablesOfThePod(t *testing.T) {
	c := &decode(t).deployment.Spec.Template.Spec.Containers[0]
	fields := map[string]string{
		"POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace", "POD_UID": "metadata.uid", "NODE_NAME": "spec.nodeName",
	}
	for _, e := range c.Env {
		if e.ValueFrom == nil || e.ValueFrom.FieldRef == nil {
			continue
		}
		if got := e.ValueFrom.FieldRef.FieldPath; got != fields[e.Name] {
			t.Errorf("%s is %s, want %q", e.Name, got, fields[e.Name])
		}
		delete(fields, e.Name)
	}
	if len(fields) > 0 {
		t.Errorf("the manifest does not set %v", fields)
	}
	if !slices.ContainsFunc(c.Env, func(e core.EnvVar) bool { return e.Name == "CONTAINER_NAME" && e.Value == c.Name }) {
		t.Errorf("CONTAINER_NAME is not %s", c.Name)
	}
}

// References between objects use existing names.
func TestReferencesExist(t *testing.T) {
	m := decode(t)
	pod := &m.deployment.Spec.Template
	container := &pod.Spec.Containers[0]
	for who, selector := range map[string]map[string]string{
		"the Deployment": m.deployment.Spec.Selector.MatchLabels,
		"the Service":    m.service.Spec.Selector,
		"the PodMonitor": m.monitor.Spec.Selector.MatchLabels,
	} {
		if len(selector) == 0 || !maps.Equal(selector, pod.Labels) {
			t.Errorf("%s selects %v, pods have %v", who, selector, pod.Labels)
		}
	}
	var ports []string
	for _, p := range container.Ports {
		ports = append(ports, p.Name)
	}
	if p := m.service.Spec.Ports[0].TargetPort.String(); !slices.Contains(ports, p) {
		t.Errorf("the Service sends to port %s of %v", p, ports)
	}
	scrape := m.monitor.Spec.PodMetricsEndpoints[0]
	if scrape.Port == nil || !slices.Contains(ports, *scrape.Port) {
		t.Errorf("the PodMonitor scrapes port %v of %v", scrape.Port, ports)
	}
	secrets := []core.SecretKeySelector{*scrape.Authorization.Credentials}
	for _, e := range container.Env {
		if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
			secrets = append(secrets, *e.ValueFrom.SecretKeyRef)
		}
	}
	for _, s := range secrets {
		if _, ok := m.secret.StringData[s.Key]; !ok || s.Name != m.secret.Name {
			t.Errorf("there is no secret %s with a key %s", s.Name, s.Key)
		}
	}
	if len(secrets) != 2 {
		t.Errorf("%d references to the secret, want 2: the container's and the PodMonitor's", len(secrets))
	}
	for _, mount := range container.VolumeMounts {
		if !slices.ContainsFunc(pod.Spec.Volumes, func(v core.Volume) bool { return v.Name == mount.Name }) {
			t.Errorf("there is no volume %s", mount.Name)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package kubernetes_test

import (
	"maps"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/gmpulse/gmpulse/internal/kubernetes"
)

const (
	uid     = "2015a4b3-a05b-4e4d-8fa3-699914c33ee8"
	id      = "d4e8e05a546c86b6443f101966c618e47753ed01fa9929cae00d3b692f7a9f80"
	sandbox = "fc9476ae96a432036914d1d1fcf8f4bba1fa9c8444a3379b0c46c3971590ad04"
)

// files are the files of a process and its environment.
type files struct {
	groups, mounts, hosts, namespace, hostname string
	env                                        map[string]string
}

func (f *files) attributes() map[string]string {
	replace := strings.NewReplacer("UID_", strings.ReplaceAll(uid, "-", "_"), "UID", uid, "SANDBOX", sandbox, "ID", id)
	root := fstest.MapFS{}
	for name, text := range map[string]string{
		"proc/self/cgroup": f.groups, "proc/self/mountinfo": f.mounts, "etc/hosts": f.hosts,
		"var/run/secrets/kubernetes.io/serviceaccount/namespace": f.namespace,
	} {
		if text != "" {
			root[name] = &fstest.MapFile{Data: []byte(replace.Replace(text))}
		}
	}
	all := map[string]string{}
	for _, kv := range kubernetes.Attributes(func(name string) string { return f.env[name] }, root, f.hostname) {
		all[string(kv.Key)] = kv.Value.AsString()
	}
	return all
}

// The mounts of a container in a pod, by runtime.
const (
	kubelet = `2443 2434 259:1 /var/lib/kubelet/pods/UID/etc-hosts /etc/hosts rw,noatime - xfs /dev/nvme0n1p1 rw
2444 2435 259:1 /var/lib/kubelet/pods/UID/containers/shop/d52bb0e5 /dev/termination-log rw,noatime - xfs /dev/nvme0n1p1 rw
`
	containerd = kubelet + `2445 2434 259:1 /var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/SANDBOX/hostname /etc/hostname rw - xfs /dev/nvme0n1p1 rw
`
	dockershim = kubelet + `2445 2434 259:1 /var/lib/docker/containers/SANDBOX/hostname /etc/hostname rw - xfs /dev/nvme0n1p1 rw
`
	crio = kubelet + `2445 2434 0:24 /containers/storage/overlay-containers/SANDBOX/userdata/hostname /etc/hostname rw - tmpfs tmpfs rw
2446 2434 0:24 /containers/storage/overlay-containers/ID/userdata/.containerenv /run/.containerenv rw - tmpfs tmpfs rw
`
	dataKubelet = `2324 1443 253:3 /data/kubelet/pods/UID/containers/shop/0981845c /dev/termination-log rw - xfs /dev/mapper/vg1 rw
`
)

// Every format of the two files gives the same pod and container.
func TestFormats(t *testing.T) {
	inPod := map[string]string{"k8s.pod.uid": uid, "k8s.container.name": "shop", "container.id": id}
	byGroup := map[string]string{"k8s.pod.uid": uid, "container.id": id}
	withoutID := map[string]string{"k8s.pod.uid": uid, "k8s.container.name": "shop"}
	outside := map[string]string{"container.id": id}
	for name, test := range map[string]struct {
		groups, mounts string
		want           map[string]string
	}{
		"v1, kubelet's driver":      {"11:memory:/kubepods/burstable/podUID/ID\n1:name=systemd:/kubepods/burstable/podUID/ID\n", dockershim, inPod},
		"v1, systemd, containerd":   {"5:cpu,cpuacct:/system.slice/containerd.service/kubepods-besteffort-podUID_.slice:cri-containerd:ID\n", containerd, inPod},
		"v1, systemd, docker":       {"9:pids:/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID_.slice/docker-ID.scope\n", dockershim, inPod},
		"v2, containerd":            {"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID_.slice/cri-containerd-ID.scope\n", containerd, inPod},
		"v2, CRI-O":                 {"0::/kubepods.slice/kubepods-podUID_.slice/crio-ID.scope/container\n", crio, inPod},
		"v2, no mounts":             {"0::/kubepods.slice/kubepods-podUID_.slice/crio-ID.scope\n", "", byGroup},
		"v2, own namespace":         {"0::/\n", containerd, withoutID},
		"v2, own namespace, CRI-O":  {"0::/\n", crio, inPod},
		"v2, own namespace, docker": {"0::/\n", dockershim, withoutID},
		"kubelet on another disk":   {"0::/\n", dataKubelet, withoutID},
		"node in a container":       {"0::/docker/SANDBOX/kubelet/kubepods/podUID/ID\n", containerd, inPod},
		"group outside":             {"0::/../../kubepods-podUID_.slice/cri-containerd-ID.scope\n", containerd, inPod},
		"docker, v1":                {"12:memory:/docker/ID\n", "", outside},
		"docker, v2":                {"0::/system.slice/docker-ID.scope\n", "", outside},
		"docker, own namespace":     {"0::/\n", "8 7 254:1 /var/lib/docker/containers/ID/hostname /etc/hostname rw - ext4 /dev/vda1 rw\n", outside},
		"podman":                    {"0::/machine.slice/libpod-ID.scope/container\n", "", outside},
		"podman, own namespace":     {"0::/\n", "8 7 0:47 /containers/overlay-containers/ID/userdata/.containerenv /run/.containerenv rw - tmpfs tmpfs rw\n", outside},
		"ECS":                       {"9:perf_event:/ecs/3e2a3c7e-0b6f-4b62-9d52-0c3e4b3f2a11/ID\n", "", outside},
		"session":                   {"0::/user.slice/user-1000.slice/session-2.scope\n", "8 7 254:1 / / rw - ext4 /dev/vda1 rw\n", map[string]string{}},
		"service":                   {"0::/system.slice/gmpulse.service\n", "", map[string]string{}},
		"malformed":                 {"0:/docker/ID\n:::\n\n", "1 2\n\n- \n", map[string]string{}},
		"nothing":                   {"", "", map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (&files{groups: test.groups, mounts: test.mounts}).attributes(); !maps.Equal(got, test.want) {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

// In a cluster, the host name and the service account give what no variable has.
func TestPodWithoutVariables(t *testing.T) {
	f := files{
		mounts: containerd, hosts: "# Kubernetes-managed hosts file.\n127.0.0.1 localhost\n", namespace: "shop\n",
		hostname: "checkout-7d9f8b6c5-x2x9k",
	}
	want := map[string]string{
		"k8s.pod.uid": uid, "k8s.container.name": "shop", "k8s.namespace.name": "shop",
		"k8s.pod.name": "checkout-7d9f8b6c5-x2x9k", "k8s.deployment.name": "checkout",
	}
	if got := f.attributes(); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	f.hosts = "# Kubernetes-managed hosts file (host network).\n"
	if got := f.attributes(); got["k8s.pod.name"] != "" || got["k8s.namespace.name"] != "shop" {
		t.Errorf("with the network of the node: %v", got)
	}
}

// Each variable of the downward API sets its attribute, the first of several counts, and a
// reference that Kubernetes has not replaced does not.
func TestVariables(t *testing.T) {
	for _, v := range kubernetes.Variables() {
		for i, name := range v.Names {
			env := map[string]string{"KUBERNETES_SERVICE_HOST": "10.0.0.1", name: " value "}
			if i > 0 {
				env[v.Names[i-1]] = "$(UNDEFINED)"
			}
			if got := (&files{env: env}).attributes()[string(v.Key)]; got != "value" {
				t.Errorf("%s: %s is %q", name, v.Key, got)
			}
		}
	}
	f := files{env: map[string]string{"K8S_POD_NAME": "first", "POD_NAME": "second", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}, hostname: "third"}
	if got := f.attributes()["k8s.pod.name"]; got != "first" {
		t.Errorf("k8s.pod.name is %q", got)
	}
}

// Outside of a cluster, variables of these names belong to something else: Jenkins sets
// NODE_NAME.
func TestVariablesCountOnlyInACluster(t *testing.T) {
	f := files{groups: "0::/docker/ID\n", env: map[string]string{"NODE_NAME": "built-in", "POD_NAME": "pod"}, hostname: "build-1", namespace: "x"}
	if got := f.attributes(); len(got) != 1 || got["container.id"] != id {
		t.Errorf("%v", got)
	}
}

// A pod of a Deployment is recognized by its name, pods of other controllers are not.
func TestDeployment(t *testing.T) {
	for pod, want := range map[string]string{
		"checkout-7d9f8b6c5-x2x9k": "checkout", "api-gateway-54f9c8b6d9-zbw4m": "api-gateway", "a-b-c-6799fc88d8-2k5ps": "a-b-c",
		"postgres-0": "", "fluentd-x2x9k": "", "backup-29123456-x2x9k": "", "migrate-abcdef-x2x9k": "", "checkout": "", "": "", "-7d9f8b6c5-x2x9k": "",
	} {
		f := files{env: map[string]string{"KUBERNETES_SERVICE_HOST": "10.0.0.1", "POD_NAME": pod}}
		if got := f.attributes()["k8s.deployment.name"]; got != want {
			t.Errorf("%s belongs to the Deployment %q, want %q", pod, got, want)
		}
	}
}

// The documentation lists every variable.
func TestVariablesAreDocumented(t *testing.T) {
	for _, file := range []string{"../../docs/opentelemetry.md", "../../docs/zh/opentelemetry.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range kubernetes.Variables() {
			for _, name := range append(v.Names, string(v.Key)) {
				if !strings.Contains(string(text), "`"+name+"`") {
					t.Errorf("%s does not have %s", file, name)
				}
			}
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

// Package kubernetes finds the pod and the container of the process, without a request to
// the API server:
//
//   - variables that manifests set from the downward API, see [Variables]
//   - the mounts of the process: kubelet mounts the file of termination messages from
//     pods/UID/containers/NAME, and runtimes mount files from the container's directory
//   - the control group, whose path has the UID of the pod and the id of the container,
//     unless the container has a cgroup namespace of its own
//   - the namespace of the service account
package kubernetes

import (
	"io"
	"io/fs"
	"regexp"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// Files of the process, relative to the root directory.
const (
	groupsFile    = "proc/self/cgroup"
	mountsFile    = "proc/self/mountinfo"
	hostsFile     = "etc/hosts"
	namespaceFile = "var/run/secrets/kubernetes.io/serviceaccount/namespace"
)

// maxFile limits how much of a file is read. A real mountinfo has some 10 KB.
const maxFile = 1 << 20

// Variable is an attribute and the names of the environment variables that have its value.
// The first variable that is set counts.
type Variable struct {
	Key   attribute.Key
	Names []string
}

// Variables returns the variables that [Attributes] reads. There is no standard
// for their names. Collector and OpenTelemetry Helm charts use K8S_, many manifests POD_, the
// Kubernetes documentation MY_, and the OpenTelemetry operator OTEL_RESOURCE_ATTRIBUTES_.
func Variables() []Variable {
	return []Variable{
		{semconv.K8SPodNameKey, []string{"K8S_POD_NAME", "POD_NAME", "MY_POD_NAME", "OTEL_RESOURCE_ATTRIBUTES_POD_NAME"}},
		{semconv.K8SNamespaceNameKey, []string{"K8S_NAMESPACE_NAME", "K8S_NAMESPACE", "K8S_POD_NAMESPACE", "POD_NAMESPACE", "MY_POD_NAMESPACE"}},
		{semconv.K8SNodeNameKey, []string{"K8S_NODE_NAME", "NODE_NAME", "KUBE_NODE_NAME", "MY_NODE_NAME", "OTEL_RESOURCE_ATTRIBUTES_NODE_NAME"}},
		{semconv.K8SPodUIDKey, []string{"K8S_POD_UID", "POD_UID", "MY_POD_UID", "OTEL_RESOURCE_ATTRIBUTES_POD_UID"}},
		{semconv.K8SContainerNameKey, []string{"K8S_CONTAINER_NAME", "CONTAINER_NAME"}},
		{semconv.K8SDeploymentNameKey, []string{"K8S_DEPLOYMENT_NAME", "DEPLOYMENT_NAME", "OTEL_RESOURCE_ATTRIBUTES_DEPLOYMENT_NAME"}},
	}
}

// Attributes returns the resource attributes of the pod and the container, as far as they
// are known: k8s.pod.name, k8s.pod.uid, k8s.namespace.name, k8s.node.name,
// k8s.container.name, k8s.deployment.name and container.id. Outside of a cluster it returns
// at most container.id. The root is the root directory of the process. Attributes reads
// at most four files.
func Attributes(getenv func(string) string, root fs.FS, hostname string) []attribute.KeyValue {
	c := containerOf(read(root, groupsFile), read(root, mountsFile))
	if c.podUID == "" && getenv("KUBERNETES_SERVICE_HOST") == "" {
		return known(map[attribute.Key]string{semconv.ContainerIDKey: c.containerID()})
	}
	found := map[attribute.Key]string{
		semconv.ContainerIDKey:      c.id,
		semconv.K8SPodUIDKey:        c.podUID,
		semconv.K8SContainerNameKey: c.name,
		semconv.K8SPodNameKey:       podName(hostname, read(root, hostsFile)),
		semconv.K8SNamespaceNameKey: strings.TrimSpace(read(root, namespaceFile)),
	}
	for _, v := range Variables() {
		if value := first(getenv, v.Names); value != "" {
			found[v.Key] = value
		}
	}
	if found[semconv.K8SDeploymentNameKey] == "" {
		found[semconv.K8SDeploymentNameKey] = deployment(found[semconv.K8SPodNameKey])
	}
	return known(found)
}

// known returns the attributes that have a value.
func known(found map[attribute.Key]string) (all []attribute.KeyValue) {
	for key, value := range found {
		if value != "" {
			all = append(all, key.String(value))
		}
	}
	return all
}

// first returns the value of the first variable that has one. It ignores a reference to
// another variable that Kubernetes has not replaced because that variable is undefined.
func first(getenv func(string) string, names []string) string {
	for _, name := range names {
		if value := strings.TrimSpace(getenv(name)); value != "" && !strings.Contains(value, "$(") {
			return value
		}
	}
	return ""
}

// podName returns the host name, which is the name of the pod unless the pod uses the
// network of its node. Kubelet notes that in the first line of /etc/hosts.
func podName(hostname, hosts string) string {
	line, _, _ := strings.Cut(hosts, "\n")
	if strings.Contains(line, "host network") {
		return ""
	}
	return hostname
}

// deployment returns the name of the Deployment to which the pod belongs, judging by the
// name of the pod, or "". That name consists of the name of the Deployment, a hash and a
// random suffix. The hash has decimal digits that Kubernetes writes with the characters
// 4 to 9, b, c, d and f (SafeEncodeString), so the number of a CronJob's job, which
// begins with 2, is none.
func deployment(pod string) string {
	if m := regexp.MustCompile(`^(.+)-[4-9bcdf]{6,10}-[2456789bcdfghjklmnpqrstvwxz]{5}$`).FindStringSubmatch(pod); m != nil {
		return m[1]
	}
	return ""
}

// read returns the text of a file, or "" if it cannot be read.
func read(root fs.FS, name string) string {
	f, err := root.Open(name)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return ""
	}
	return string(text)
}

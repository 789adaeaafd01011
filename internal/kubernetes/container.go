// SPDX-License-Identifier: Apache-2.0

package kubernetes

import "strings"

// container is what the kernel's files tell about the container of the process. Unknown
// values are empty.
type container struct {
	podUID string
	name   string // in the pod
	id     string
	hostID string // of the container that /etc/hostname belongs to; in a pod, that is the sandbox
}

// containerID returns the id of a container outside of a cluster.
func (c *container) containerID() string {
	if c.id == "" {
		return c.hostID
	}
	return c.id
}

// containerOf parses /proc/self/cgroup and /proc/self/mountinfo.
func containerOf(groups, mounts string) (c container) {
	for line := range strings.Lines(mounts) {
		if fields := strings.Fields(line); len(fields) > 4 {
			c.readMount(fields[3], fields[4])
		}
	}
	for line := range strings.Lines(groups) {
		if fields := strings.SplitN(strings.TrimSpace(line), ":", 3); len(fields) == 3 {
			c.readGroup(fields[2])
		}
	}
	return c
}

// readMount reads the directory from which a file is mounted:
//
//	/var/lib/kubelet/pods/UID/containers/NAME/0a1b2c3d at /dev/termination-log
//	/containers/storage/overlay-containers/ID/userdata/.containerenv at /run/.containerenv
//	/var/lib/docker/containers/ID/hostname at /etc/hostname
func (c *container) readMount(source, point string) {
	parts := strings.Split(source, "/")
	n := len(parts)
	switch {
	case n >= 5 && parts[n-5] == "pods" && parts[n-3] == "containers" && isUID(parts[n-4]):
		c.podUID, c.name = parts[n-4], parts[n-2]
	case n >= 3 && point == "/run/.containerenv" && parts[n-2] == "userdata" && isID(parts[n-3]):
		c.id = parts[n-3]
	case n >= 2 && point == "/etc/hostname" && isID(parts[n-2]) && !strings.Contains(source, "/sandboxes/"):
		c.hostID = parts[n-2]
	case n >= 3 && point == "/etc/hostname" && parts[n-2] == "userdata" && isID(parts[n-3]):
		c.hostID = parts[n-3]
	}
}

// readGroup reads the path of a control group. The lowest group counts, because a node may
// be a container itself:
//
//	/docker/ID
//	/kubepods/burstable/podUID/ID
//	/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID.slice/cri-containerd-ID.scope
//	/system.slice/containerd.service/kubepods-burstable-podUID.slice:cri-containerd:ID
func (c *container) readGroup(path string) {
	for part := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '/' || r == ':' }) {
		if uid := uidIn(part); uid != "" {
			c.podUID = uid
		}
		id := strings.TrimSuffix(part, ".scope")
		if id = id[strings.LastIndexByte(id, '-')+1:]; isID(id) {
			c.id = id
		}
	}
}

// isID reports whether s is the id of a container: 64 hexadecimal digits.
func isID(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// uidIn returns the UID of the pod in the name of a control group, or "". The systemd driver
// replaces the dashes of the UID.
func uidIn(group string) string {
	i := strings.LastIndex(group, "pod")
	if i < 0 || len(group) < i+len("pod")+36 {
		return ""
	}
	uid := strings.ReplaceAll(group[i+len("pod"):][:36], "_", "-")
	if !isUID(uid) {
		return ""
	}
	return uid
}

// isUID reports whether s is a UUID.
func isUID(s string) bool {
	parts := strings.Split(s, "-")
	if len(s) != 36 || len(parts) != 5 {
		return false
	}
	for i, n := range []int{8, 4, 4, 4, 12} {
		if len(parts[i]) != n || strings.Trim(parts[i], "0123456789abcdef") != "" {
			return false
		}
	}
	return true
}

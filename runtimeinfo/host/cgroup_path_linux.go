// SPDX-License-Identifier: Apache-2.0

package host

import (
	"path"
	"slices"
	"strings"
)

// unified is the key of the v2 hierarchy, whose line in /proc/self/cgroup names
// no controller.
const unified = ""

// maxDepth bounds how many groups are looked at, from the own one upwards. Real
// trees have up to ten levels.
const maxDepth = 64

// parseGroups parses /proc/self/cgroup into the path of the process for every
// controller:
//
//	4:cpu,cpuacct:/docker/0123
//	0::/system.slice/app.service
func parseGroups(text string) map[string]string {
	paths := make(map[string]string)
	for line := range strings.Lines(text) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(fields) != 3 || !strings.HasPrefix(fields[2], "/") {
			continue
		}
		// A process may outlive its group; the groups above still hold.
		dir := strings.TrimSuffix(fields[2], " (deleted)")
		for controller := range strings.SplitSeq(fields[1], ",") {
			paths[controller] = dir
		}
	}
	return paths
}

// mount is one cgroup file system.
type mount struct {
	root        string   // the group that is at the mount point
	point       string   // where it is mounted
	controllers []string // v1: among its options; v2: unified alone
}

// parseMounts finds the cgroup file systems in /proc/self/mountinfo:
//
//	31 23 0:28 /docker/0123 /sys/fs/cgroup/cpu ro,nosuid master:9 - cgroup cgroup rw,cpu,cpuacct
func parseMounts(text string) []mount {
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var mounts []mount
	for line := range strings.Lines(text) {
		where, what, ok := strings.Cut(line, " - ")
		left, right := strings.Fields(where), strings.Fields(what)
		if !ok || len(left) < 5 || len(right) < 3 {
			continue
		}
		m := mount{root: unescape.Replace(left[3]), point: unescape.Replace(left[4])}
		switch right[0] {
		case "cgroup":
			m.controllers = strings.Split(right[2], ",")
		case "cgroup2":
			m.controllers = []string{unified}
		default:
			continue
		}
		// What is mounted over another is what one sees there.
		mounts = slices.DeleteFunc(mounts, func(below mount) bool { return below.point == m.point })
		mounts = append(mounts, m)
	}
	return mounts
}

// locate returns the directories of group and of the groups above it, the own
// one first. Of several mounts that show the group, the one that shows most
// above it is taken. There is none if the group lies outside of what is mounted.
func locate(mounts []mount, controller, group string) []string {
	var best mount
	for _, m := range mounts {
		if !slices.Contains(m.controllers, controller) {
			continue
		}
		_, ok := below(m.root, group)
		if ok && (best.point == "" || len(m.root) < len(best.root)) {
			best = m
		}
	}
	if best.point == "" {
		return nil
	}
	rel, _ := below(best.root, group)
	var dirs []string
	for len(dirs) < maxDepth {
		dirs = append(dirs, path.Join(best.point, rel))
		if rel == "/" {
			break
		}
		rel = path.Dir(rel)
	}
	return dirs
}

// below returns where group is seen from root, "/" if it is root itself.
//
// Inside a cgroup namespace both are relative to the namespace's own group and
// may begin with "..": a group beside it, or a mount that shows more than the
// namespace. From root "/.." the group "/" cannot be found, since nothing tells
// the name of the step down; then there is no answer, and a wrong one is worse.
func below(root, group string) (string, bool) {
	rel := group
	if root != "/" {
		var ok bool
		rel, ok = strings.CutPrefix(group, root)
		if !ok || rel != "" && rel[0] != '/' {
			return "", false
		}
	}
	if rel == "" {
		rel = "/"
	}
	return rel, !slices.Contains(strings.Split(rel, "/"), "..")
}

// SPDX-License-Identifier: Apache-2.0

package host

import (
	"path"
	"slices"
	"strings"
)

// unified is the key of the v2 hierarchy: its line in /proc/self/cgroup has no controller.
const unified = ""

// maxDepth limits the number of groups, from the lowest one upwards. Real trees have up to ten
// levels.
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
		// A process may outlive its group; the limits of the groups above still apply.
		dir := strings.TrimSuffix(fields[2], " (deleted)")
		for controller := range strings.SplitSeq(fields[1], ",") {
			paths[controller] = dir
		}
	}
	return paths
}

// mount is one cgroup file system.
type mount struct {
	root        string   // the group at the mount point
	point       string   // the mount point
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
		if !path.IsAbs(m.point) { // would be a path below the working directory
			continue
		}
		switch right[0] {
		case "cgroup":
			m.controllers = strings.Split(right[2], ",")
		case "cgroup2":
			m.controllers = []string{unified}
		default:
			continue
		}
		// A later mount hides earlier ones at the same point.
		mounts = slices.DeleteFunc(mounts, func(below mount) bool { return below.point == m.point })
		mounts = append(mounts, m)
	}
	return mounts
}

// locate returns the directories of group and of the groups above it, the lowest first. If
// several mounts contain the group, it uses the one with the most groups above it. It returns
// nil if no mount contains the group.
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

// below returns the path of group relative to root, "/" if it is root itself.
//
// In a cgroup namespace both are relative to the root group of the namespace and may begin
// with "..", for a group or a mount outside the namespace. The group "/" cannot be found from
// root "/..", because the name of the directory in between is unknown.
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

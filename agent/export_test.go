// SPDX-License-Identifier: Apache-2.0

package agent

// Variables returns the name of every environment variable that Start reads, and whether it
// is optional.
func Variables() map[string]bool {
	all := map[string]bool{}
	for _, v := range variables() {
		all[v.name] = v.optional
	}
	return all
}

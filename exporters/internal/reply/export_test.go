// SPDX-License-Identifier: Apache-2.0

package reply

// Held returns the number of reserved bytes.
func (b *Budget) Held() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held
}

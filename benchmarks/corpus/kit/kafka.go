// SPDX-License-Identifier: Apache-2.0

package kit

import "github.com/twmb/franz-go/pkg/kfake"

// kafka is a role: a Kafka cluster of one broker with a topic "orders". It says its
// address.
func kafka(r *Role) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(12, "orders"))
	Must(err)
	r.Say(c.ListenAddrs()[0])
}

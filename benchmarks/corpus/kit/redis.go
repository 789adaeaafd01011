// SPDX-License-Identifier: Apache-2.0

package kit

import (
	"time"

	"github.com/alicebob/miniredis/v2"
)

// redis is a role: a Redis server whose clock is the real one. It says its address.
func redis(r *Role) {
	m := miniredis.NewMiniRedis()
	Must(m.Start())
	Must(m.Set("greeting", "hello"))
	r.Say(m.Addr())
	for Sleep(r.Ctx, time.Second) {
		m.SetTime(time.Now())
		m.FastForward(time.Second)
	}
}

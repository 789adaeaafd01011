// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"log/slog"
	"slices"
	"testing"

	"github.com/gmpulse/gmpulse/agent"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/alertmanager"
	"github.com/gmpulse/gmpulse/exporters/webhook"
)

func TestOptionsAddAlertmanagerAndWebhook(t *testing.T) {
	a, err := agent.Start(agent.WithListen("off"), agent.WithLogger(slog.New(slog.DiscardHandler)),
		agent.WithAlertmanager(alertmanager.Config{URLs: []string{"http://127.0.0.1:1"}}),
		agent.WithWebhook(webhook.Config{URL: "http://127.0.0.1:1/hook"}))
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, a)
	for _, name := range []string{"alertmanager", "webhook"} {
		if !slices.ContainsFunc(a.Stats().Exporters, func(x exporters.Stats) bool { return x.Name == name }) {
			t.Errorf("there is no exporter %s", name)
		}
	}
}

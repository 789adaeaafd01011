// SPDX-License-Identifier: Apache-2.0

package otlpprofiles_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmpulse/gmpulse/exporters/otlp/otlpprofiles"
)

// An agent takes its first profiles before its first snapshot has arrived. They have its resource.
func TestFirstProfileHasTheResourceOfTheAgent(t *testing.T) {
	s := startServer(t, nil) // outside of the bubble
	synctest.Test(t, func(t *testing.T) {
		e := newExporter(t, s.URL, otlpprofiles.Config{})
		enqueue(t, e, "heap")
		synctest.Wait()
		if n := len(s.received()); n != 0 {
			t.Errorf("%d requests before the first snapshot", n)
		}
		tick(t, e, start)
		synctest.Wait()
		if name := serviceName(s); name != "shop" {
			t.Errorf("service.name is %q", name)
		}
	})
}

// Without an agent, profiles are sent with the resource of the SDK after a second, and then at once.
func TestProfilesWithoutAnAgent(t *testing.T) {
	s := startServer(t, nil)
	synctest.Test(t, func(t *testing.T) {
		e := newExporter(t, s.URL, otlpprofiles.Config{})
		enqueue(t, e, "heap")
		time.Sleep(time.Second)
		synctest.Wait()
		enqueue(t, e, "cpu")
		synctest.Wait()
		if n := len(s.received()); n != 2 {
			t.Fatalf("%d requests, want 2", n)
		}
		if name := serviceName(s); name == "" || name == "shop" {
			t.Errorf("service.name is %q", name)
		}
	})
}

// serviceName returns the name of the service in the first request.
func serviceName(s *server) string {
	if all := s.received(); len(all) > 0 {
		for _, a := range all[0].ResourceProfiles[0].Resource.Attributes {
			if a.Key == "service.name" {
				return a.Value.GetStringValue()
			}
		}
	}
	return ""
}

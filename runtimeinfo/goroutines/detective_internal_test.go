package goroutines

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

type never struct{ t *testing.T }

func (n never) RollCall(context.Context) ([]Member, error) {
	n.t.Error("the roll is called and cannot be paid for")
	return nil, errors.New("never")
}

// A roll call that the budget has no room for must not keep a suspicion waiting.
func TestVerdictsDoNotWaitForARollThatIsTooDear(t *testing.T) {
	d := NewDetective(DetectiveConfig{RollCaller: never{t}})
	d.governor.Spend(time.Now(), 0, time.Hour)
	d.cases.asks = true
	d.CallRoll(t.Context())
	if d.cases.rolling {
		t.Error("verdicts still wait for the roll")
	}
}

// That there are too many is said when it is so, not when a survey of them could be
// paid for; and that it is over, once.
func TestTooManyIsSaidAtOnce(t *testing.T) {
	var log strings.Builder
	d := NewDetective(DetectiveConfig{Survey: Config{MaxGoroutines: 1}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	d.governor.Spend(time.Now(), 0, time.Hour)
	for range 3 {
		d.look(t.Context(), nil)
	}
	if n := strings.Count(log.String(), "cannot be surveyed"); n != 1 || d.Findings().SurveysSkipped != 3 {
		t.Errorf("said %d times, %d surveys skipped:\n%s", n, d.Findings().SurveysSkipped, log.String())
	}
}

func TestConfigBelowZero(t *testing.T) {
	below := DetectiveConfig{Survey: Config{MaxGroups: -1, MaxGoroutines: -1}, Slot: -1, MinGrowth: -1, MinAge: -1, Share: -1, Top: -1}
	got, want := NewDetective(below), NewDetective(DetectiveConfig{})
	if got.cases.rules != want.cases.rules || got.config.Top != want.config.Top || got.governor.share != want.governor.share || got.surveyor.config != want.surveyor.config {
		t.Errorf("%+v, %+v", got.config, got.cases.rules)
	}
}

package goroutines

import (
	"context"
	"errors"
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

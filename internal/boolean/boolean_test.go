package boolean

import "testing"

func TestNumbers(t *testing.T) {
	t.Parallel()
	if Int(false) != 0 || Int(true) != 1 || Float(false) != 0 || Float(true) != 1 {
		t.Error(Int(false), Int(true), Float(false), Float(true))
	}
}

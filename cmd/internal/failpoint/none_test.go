//go:build !chaos

package failpoint

import (
	"testing"

	"github.com/rs/zerolog"
)

func TestNew_WithoutTheTag_HasNoHooks(t *testing.T) {
	h, err := New(zerolog.Nop(), func(string) string { return "W0:1" })
	if err != nil || h.Stream.At != nil || h.Stream.Shift != nil || h.ClickHouse.Midway != nil || h.ClickHouse.Token != nil || h.ClickHouse.Cut != nil {
		t.Errorf("%+v, %v", h, err)
	}
}

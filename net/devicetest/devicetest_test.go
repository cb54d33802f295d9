package devicetest

import (
	"testing"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

func openReference(testing.TB) net.Device { return reference.New() }

func TestReference(t *testing.T) {
	Run(t, openReference, SameBytes("again", openReference))
}

package memlimit

import (
	"fmt"
	"testing"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		needs, uses, total float64
		want               string
	}{
		{3e9, 1e9, 4e9, "<nil>"},
		{3e9, 0, 0, "<nil>"},
		{5e9, 0, 4e9, "takes about 5.0 GB of memory to load, more than the machine's 4.0 GB"},
		{3e9, 1.2e9, 4e9, "takes about 3.0 GB of memory to load, more than the machine's 4.0 GB, of which 1.2 GB are in use"},
		{6e8, 2e8, 5e8, "takes about 600 MB of memory to load, more than the machine's 500 MB, of which 200 MB are in use"},
	} {
		if got := fmt.Sprint(check(c.needs, c.uses, c.total, "the machine's")); got != c.want {
			t.Errorf("%v beside %v of %v: %s, want %s", c.needs, c.uses, c.total, got, c.want)
		}
	}
}

package peers

import (
	"fmt"
	"os"
	"regexp"
	"testing"

	"github.com/gputrain/gputrain/net"
)

// TestBuildersKnowEveryLayer reads the peers' sources: each kind of layer is a method, each function a line. The peers' own
// tests compute every one of them, as network_test.py does.
func TestBuildersKnowEveryLayer(t *testing.T) {
	for _, file := range []string{"tensorflow_peer.py", "jax_peer.py", "torch_peer.py", "network_test.py"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		wants := func(what, pattern, name string) {
			t.Helper()
			if !regexp.MustCompile(fmt.Sprintf(pattern, regexp.QuoteMeta(name))).Match(source) {
				t.Errorf("%s lacks the %s %s", file, what, name)
			}
		}
		for _, k := range net.Kinds() {
			wants("kind of layer", `(?m)^    def %s\(self, layer, `, k.Name)
			if file == "network_test.py" {
				wants("example of the kind of layer", `(?m)^    ".*": \[.*"type": "%s"|^        \{.*"type": "%[1]s"`, k.Name)
			}
		}
		for _, f := range net.Functions() {
			wants("function", `(?m)^    "%s": lambda `, string(f.Name))
		}
	}
}

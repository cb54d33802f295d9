package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// testCount counts the results of a test program's tests and subtests.
type testCount struct {
	passed, failed, skipped int
	reasons                 map[string]int // reasons of the skipped tests
}

// knownReasons lists the beginnings of accepted reasons for skipping a test on a GPU (from cuda/sim and
// net/devicetest).
var knownReasons = []string{"only the simulated machine has ", "the device "}

const noReason = "no reason given"

var (
	testBegins = regexp.MustCompile(`^=== (?:RUN|CONT|NAME)\s+(\S+)`)
	testEnds   = regexp.MustCompile(`^\s*--- (PASS|FAIL|SKIP): (\S+)`)
	testSays   = regexp.MustCompile(`^\s*\S+\.go:\d+: (.*)`)
)

// countTests reads the output of a test program with -test.v.
func countTests(out string) testCount {
	n := testCount{reasons: map[string]int{}}
	said := map[string]string{} // the last line that each test printed
	current := ""
	for line := range strings.Lines(out) {
		if m := testBegins.FindStringSubmatch(line); m != nil {
			current = m[1]
		} else if m := testSays.FindStringSubmatch(line); m != nil {
			said[current] = m[1]
		} else if m := testEnds.FindStringSubmatch(line); m != nil {
			switch m[1] {
			case "PASS":
				n.passed++
			case "FAIL":
				n.failed++
			case "SKIP":
				n.skipped++
				reason := said[m[2]]
				if reason == "" {
					reason = noReason
				}
				n.reasons[reason]++
			}
		}
	}
	return n
}

// check returns an error if nothing passed, or if a test was skipped for an unknown reason.
func (n testCount) check() error {
	if n.passed == 0 {
		return errors.New("no test passed")
	}
	for reason := range n.reasons {
		if !slices.ContainsFunc(knownReasons, func(known string) bool { return strings.HasPrefix(reason, known) }) {
			return fmt.Errorf("a test was skipped: %s", reason)
		}
	}
	return nil
}

func (n testCount) String() string {
	text := fmt.Sprintf("%d tests passed", n.passed)
	if n.failed > 0 {
		text += fmt.Sprintf(", %d failed", n.failed)
	}
	if n.skipped > 0 {
		var reasons []string
		for _, reason := range slices.Sorted(maps.Keys(n.reasons)) {
			reasons = append(reasons, fmt.Sprintf("%d: %s", n.reasons[reason], reason))
		}
		text += fmt.Sprintf(", %d skipped (%s)", n.skipped, strings.Join(reasons, "; "))
	}
	return text
}

var stepBenchmark = regexp.MustCompile(`(?m)^BenchmarkStep/([^/\s]+)/(\w+)/(\d+)/([a-z_]+)(?:-\d+)?\s.*?([\d.e+]+) images/s`)

// speeds returns the images/s in the output of BenchmarkStep of package cuda, as one line of text. After each figure of a
// step as it is, those of other ways of running it are in brackets.
func speeds(out string) (string, error) {
	var parts []string
	last := "" // what the last part is about
	for _, m := range stepBenchmark.FindAllStringSubmatch(out, -1) {
		network, precision, batch, way := m[1], m[2], m[3], m[4]
		rate, err := strconv.ParseFloat(m[5], 64)
		if err != nil {
			return "", err
		}
		text := fmt.Sprintf("%.0f", rate)
		of := fmt.Sprintf("%s, %s, batch %s: ", network, precision, batch)
		switch {
		case way == "fused":
			parts, last = append(parts, of+text+" images/s"), of
		case of == last:
			parts[len(parts)-1] += fmt.Sprintf(" (%s %s)", way, text)
		}
	}
	if parts == nil {
		return "", errors.New("no step was timed")
	}
	return strings.Join(parts, "; "), nil
}

// tensorsOf returns the names and values of the tensors in a safetensors file. It leaves out the metadata, because
// that contains times.
func tensorsOf(file string) ([]byte, error) {
	all, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	const prefix = 8 // number of bytes of the header's length
	if len(all) < prefix {
		return nil, fmt.Errorf("%s: too short for a checkpoint", file)
	}
	length := binary.LittleEndian.Uint64(all)
	if length > uint64(len(all)-prefix) {
		return nil, fmt.Errorf("%s: its header is longer than the file", file)
	}
	var header map[string]json.RawMessage
	if err := json.Unmarshal(all[prefix:prefix+length], &header); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	delete(header, "__metadata__")
	if len(header) == 0 {
		return nil, fmt.Errorf("%s: no tensors", file)
	}
	tensors, err := json.Marshal(header) // sorted by name
	return append(tensors, all[prefix+length:]...), err
}

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

// testCount is what came of a test program's tests and subtests.
type testCount struct {
	passed, failed, skipped int
	reasons                 map[string]int // of those skipped
}

// knownReasons are how the reasons begin for which a test may be skipped on a GPU (cuda/sim and net/devicetest).
var knownReasons = []string{"only the simulated machine has ", "the device "}

const noReason = "no reason given"

var (
	testBegins = regexp.MustCompile(`^=== (?:RUN|CONT|NAME)\s+(\S+)`)
	testEnds   = regexp.MustCompile(`^\s*--- (PASS|FAIL|SKIP): (\S+)`)
	testSays   = regexp.MustCompile(`^\s*\S+\.go:\d+: (.*)`)
)

// countTests reads what a test program prints with -test.v.
func countTests(out string) testCount {
	n := testCount{reasons: map[string]int{}}
	said := map[string]string{} // the last line of each test
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

// check refuses a run in which nothing passed, or something was skipped for a reason that isn't known.
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

var stepBenchmark = regexp.MustCompile(`(?m)^BenchmarkStep/[^/\s]+/(\w+)/(\d+)/([a-z]+)(?:-\d+)?\s.*?([\d.e+]+) images/s`)

// speeds reads what BenchmarkStep of package cuda prints.
func speeds(out string) (string, error) {
	var parts []string
	last := "" // what the last part is of
	for _, m := range stepBenchmark.FindAllStringSubmatch(out, -1) {
		rate, err := strconv.ParseFloat(m[4], 64)
		if err != nil {
			return "", err
		}
		text := fmt.Sprintf("%.0f", rate)
		of := fmt.Sprintf("%s batch %s: ", m[1], m[2])
		switch {
		case m[3] == "fused":
			parts, last = append(parts, of+text+" images/s"), of
		case of == last:
			parts[len(parts)-1] += fmt.Sprintf(" (%s)", text)
		}
	}
	if parts == nil {
		return "", errors.New("no step was timed")
	}
	return strings.Join(parts, ", "), nil
}

// tensorsOf returns the tensors of a safetensors file, names and values, without the metadata, which tells times.
func tensorsOf(file string) ([]byte, error) {
	all, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	const prefix = 8 // bytes of the header's length
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
	tensors, err := json.Marshal(header) // in order of the names
	return append(tensors, all[prefix+length:]...), err
}

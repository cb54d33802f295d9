package main

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// A difference is an item on which a part of NVIDIA's software differs from our declarations.
type difference struct {
	part   string // the part, with its version
	item   string // kind and name; in the list of known differences, a pattern of path.Match
	answer string // what the part says; "missing" if it doesn't have the item
}

func (d difference) String() string { return fmt.Sprintf("%s %s %s", d.part, d.item, d.answer) }

// parseDifferences reads the list of known differences. A line has a part (or several, separated by commas), a kind, a
// name and an answer. Above each group of lines is a paragraph that begins with "because". It tells the reason, and
// what our code does about it.
func parseDifferences(text string) ([]difference, error) {
	var known []difference
	seen := map[difference]bool{}
	reason := false
	for n, line := range strings.Split(text, "\n") {
		switch {
		case strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#"):
			reason = false
		case strings.HasPrefix(line, "because "):
			reason = true
		case !reason:
			return nil, fmt.Errorf("known differences, line %d: nothing says why", n+1)
		case strings.HasPrefix(line, "\t"):
			w := strings.SplitN(strings.TrimSpace(line), " ", 4)
			if len(w) != 4 {
				return nil, fmt.Errorf("known differences, line %d: want part, kind, name and answer", n+1)
			}
			for _, part := range strings.Split(w[0], ",") {
				d := difference{part, w[1] + " " + w[2], w[3]}
				if seen[d] {
					return nil, fmt.Errorf("known differences, line %d: %v is listed twice", n+1, d)
				}
				seen[d] = true
				known = append(known, d)
			}
		case !strings.HasPrefix(line, "  "): // further lines of a reason begin with two spaces
			return nil, fmt.Errorf("known differences, line %d: neither a reason nor a difference", n+1)
		}
	}
	return known, nil
}

// compare returns the differences between our headers and a set of NVIDIA's. versions maps cuda and cudnn to their
// parts. If a type is missing, its fields are not reported.
func compare(items []item, ours, theirs map[string]string, versions map[string]string) []difference {
	var found []difference
	for _, i := range items {
		name := i.String()
		if ours[name] != theirs[name] && (i == i.owner() || theirs[i.owner().String()] != "missing") {
			found = append(found, difference{versions[i.part], name, theirs[name]})
		}
	}
	return found
}

// unexplained returns complaints about differences that were found but aren't known, and about known ones of these
// parts that weren't found. Answers that differ are shown beside the base's answers.
func unexplained(found, known []difference, parts []string, base string, answers map[string]string) []string {
	var complaints []string
	explains := make([]bool, len(known))
	for _, f := range found {
		explained := false
		for i, k := range known {
			if k.covers(f) {
				explained, explains[i] = true, true
			}
		}
		if !explained {
			complaints = append(complaints, fmt.Sprintf("%v, but %s: %s", f, base, answers[f.item]))
		}
	}
	for i, k := range known {
		if slices.Contains(parts, k.part) && !explains[i] {
			complaints = append(complaints, fmt.Sprintf("%v: listed as a known difference, but not so", k))
		}
	}
	return complaints
}

// covers reports whether d, from the list of known differences, covers the one that was found.
func (d difference) covers(found difference) bool {
	same, err := path.Match(d.item, found.item)
	return err == nil && same && d.part == found.part && d.answer == found.answer
}

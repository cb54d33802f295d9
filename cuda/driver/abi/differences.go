package main

import (
	"fmt"
	"strings"
)

// A difference is an item for which a part of NVIDIA's software has another answer than our headers.
type difference struct {
	part   string // with its version
	item   string
	answer string // what NVIDIA's header says; "missing" if it doesn't declare the item
}

func (d difference) String() string { return fmt.Sprintf("%s %s %s", d.part, d.item, d.answer) }

// parseDifferences reads the list of those that are known: lines of part (or several, with commas), kind, name and
// answer, each below a paragraph that begins with "because" and says why, and what our code does about it.
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
			return nil, fmt.Errorf("known-differences.txt:%d: nothing says why", n+1)
		case strings.HasPrefix(line, "\t"):
			w := strings.SplitN(strings.TrimSpace(line), " ", 4)
			if len(w) != 4 {
				return nil, fmt.Errorf("known-differences.txt:%d: want part, kind, name and answer", n+1)
			}
			for _, part := range strings.Split(w[0], ",") {
				d := difference{part, w[1] + " " + w[2], w[3]}
				if seen[d] {
					return nil, fmt.Errorf("known-differences.txt:%d: %v is listed twice", n+1, d)
				}
				seen[d] = true
				known = append(known, d)
			}
		case !strings.HasPrefix(line, "  "): // a reason goes on with two spaces
			return nil, fmt.Errorf("known-differences.txt:%d: neither a reason nor a difference", n+1)
		}
	}
	return known, nil
}

// compare gives what differs between our headers and a set of NVIDIA's; versions maps cuda and cudnn to their parts. A
// type that is missing stands for its fields.
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

// unexplained are complaints about what was found and isn't known, and about what is known of these parts and wasn't
// found.
func unexplained(found, known []difference, parts []string, ours map[string]string) []string {
	var complaints []string
	listed, seen := map[difference]bool{}, map[difference]bool{}
	for _, d := range known {
		listed[d] = true
	}
	for _, d := range found {
		seen[d] = true
		if !listed[d] {
			complaints = append(complaints, fmt.Sprintf("%v, but ours: %s", d, ours[d.item]))
		}
	}
	for _, d := range known {
		for _, part := range parts {
			if d.part == part && !seen[d] {
				complaints = append(complaints, fmt.Sprintf("%v: listed as a known difference, but not so", d))
			}
		}
	}
	return complaints
}

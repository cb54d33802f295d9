package ptx

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Text is what the head of a PTX text and its entries declare.
type Text struct {
	Version string // version of the instruction set: "7.8"
	Target  string // the lowest architecture: "sm_75"
	Entries []Entry
}

// Entry is a kernel as PTX declares it.
type Entry struct {
	Name       string
	Params     []string // types of the parameters, in order: "u64", "f32"; "b8[16]" for a struct of 16 bytes
	MaxThreads int      // most threads of a block, from .maxntid; 0 if it isn't set
}

var (
	comments     = regexp.MustCompile(`(?s)//[^\n]*|/\*.*?\*/`)
	directive    = regexp.MustCompile(`(?m)^\s*\.(version|target)\s+([\w.]+)`)
	entry        = regexp.MustCompile(`(?s)\.entry\s+([\w$]+)\s*(?:\(([^)]*)\))?([^{]*)\{`)
	param        = regexp.MustCompile(`^\.param\s+(?:\.align\s+\d+\s+)?\.(\w+)(?:\s+\.ptr[\w\s.]*?)?\s+[\w$]+(\[\d+\])?$`)
	maxThreads   = regexp.MustCompile(`\.maxntid\s+(\d+)(?:\s*,\s*(\d+))?(?:\s*,\s*(\d+))?`)
	entryKeyword = regexp.MustCompile(`\.entry\s`)
)

// Parse reads the head of a PTX text and the declarations of its entries. It ignores the code in them.
func Parse(source string) (Text, error) {
	source = comments.ReplaceAllString(source, " ")
	var text Text
	for _, m := range directive.FindAllStringSubmatch(source, -1) {
		if m[1] == "version" {
			text.Version = m[2]
		} else {
			text.Target = m[2]
		}
	}
	if text.Version == "" || text.Target == "" {
		return Text{}, fmt.Errorf("no .version or no .target")
	}
	for _, m := range entry.FindAllStringSubmatch(source, -1) {
		e, err := parseEntry(m[1], m[2], m[3])
		if err != nil {
			return Text{}, fmt.Errorf("entry %s: %w", m[1], err)
		}
		text.Entries = append(text.Entries, e)
	}
	if n := len(entryKeyword.FindAllString(source, -1)); n != len(text.Entries) {
		return Text{}, fmt.Errorf("%d of %d entries could be read", len(text.Entries), n)
	}
	return text, nil
}

func parseEntry(name, params, directives string) (Entry, error) {
	e := Entry{Name: name}
	if strings.TrimSpace(params) != "" {
		for declaration := range strings.SplitSeq(params, ",") {
			m := param.FindStringSubmatch(strings.TrimSpace(declaration))
			if m == nil {
				return Entry{}, fmt.Errorf("unknown parameter %q", strings.TrimSpace(declaration))
			}
			e.Params = append(e.Params, m[1]+m[2])
		}
	}
	if m := maxThreads.FindStringSubmatch(directives); m != nil {
		e.MaxThreads = 1
		for _, extent := range m[1:] {
			if extent == "" {
				continue
			}
			n, err := strconv.Atoi(extent)
			if err != nil {
				return Entry{}, err
			}
			e.MaxThreads *= n
		}
	}
	return e, nil
}

// Newer reports whether instruction set a is newer than b. Both are versions such as "8.0".
func Newer(a, b string) (bool, error) {
	var major, minor [2]int
	for i, version := range []string{a, b} {
		if _, err := fmt.Sscanf(version, "%d.%d", &major[i], &minor[i]); err != nil {
			return false, fmt.Errorf("version %q: %w", version, err)
		}
	}
	return major[0] > major[1] || major[0] == major[1] && minor[0] > minor[1], nil
}

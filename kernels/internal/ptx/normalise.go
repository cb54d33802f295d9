package ptx

import (
	"fmt"
	"path"
	"path/filepath"
	"regexp"
)

var (
	fileLine   = regexp.MustCompile(`(?m)^(\s*\.file\s+\d+\s+)"([^"]*)".*$`)
	bytesLines = regexp.MustCompile(`(?m)(?:^\.b8 [\d,]+\n)+`)
	bytesValue = regexp.MustCompile(`([ ,])(\d+)`)
	unitName   = regexp.MustCompile(`_INTERNAL_[0-9a-f]{8}_`)
)

const anyUnit = "_INTERNAL_00000000_"

// withoutMachine removes from PTX what depends on where it was compiled: the folders of the files in .file lines, and
// a hash of the folder in the names of functions with internal linkage. nvcc's line information spells these names in
// bytes.
func withoutMachine(text []byte) []byte {
	text = fileLine.ReplaceAllFunc(text, func(line []byte) []byte {
		m := fileLine.FindSubmatch(line)
		return fmt.Appendf(nil, "%s%q", m[1], path.Base(filepath.ToSlash(string(m[2]))))
	})
	text = unitName.ReplaceAll(text, []byte(anyUnit))
	return bytesLines.ReplaceAllFunc(text, withoutUnit)
}

// withoutUnit removes the hash from a string in lines of .b8. It leaves the line breaks where they are.
func withoutUnit(lines []byte) []byte {
	var characters []byte
	for _, m := range bytesValue.FindAllSubmatch(lines, -1) {
		characters = append(characters, byte(number(string(m[2]))))
	}
	if !unitName.Match(characters) {
		return lines
	}
	characters = unitName.ReplaceAll(characters, []byte(anyUnit))
	next := 0
	return bytesValue.ReplaceAllFunc(lines, func(value []byte) []byte {
		next++
		return fmt.Appendf(nil, "%c%d", value[0], characters[next-1])
	})
}

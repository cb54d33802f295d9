// Package trampoline generates parts of package driver from the list of NVIDIA's functions. It generates assembly that
// defines every function as a jump through a table of slots, and a Go table of the symbols that fill the slots.
package trampoline

import (
	"fmt"
	"strings"
)

// Function is one line of the list.
type Function struct {
	Name     string // the name in C source
	Symbol   string // the name that the library exports
	Library  string // cuda, cudnn, cublas, cublaslt or nccl
	Required bool   // a library without it can't be used
	StandIn  string // what answers if it is missing: status, number, text, name, message; own: our function
	Note     string // which versions of the library have it
}

// Own reports whether package driver itself defines the function. It then has no slot.
func (f Function) Own() bool { return f.StandIn == "own" }

// Parse reads the list of functions (functions.txt). It returns the functions in the order of the list, which is also
// the order of their slots. An error names the line.
func Parse(list string) ([]Function, error) {
	var functions []Function
	library := ""
	seen := map[string]bool{}
	for i, line := range strings.Split(list, "\n") {
		fail := func(format string, a ...any) ([]Function, error) {
			return nil, fmt.Errorf("line %d: %s", i+1, fmt.Sprintf(format, a...))
		}
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		word := strings.Fields(line)
		if word[0] == "library" {
			if len(word) != 2 {
				return fail("want \"library NAME\"")
			}
			switch word[1] {
			case "cuda", "cudnn", "cublas", "cublaslt", "nccl":
				library = word[1]
			default:
				return fail("unknown library %q", word[1])
			}
			continue
		}
		if library == "" {
			return fail("a function before the first library")
		}
		if len(word) < 4 {
			return fail("want name, symbol, required or optional, and a stand-in; got %q", line)
		}
		f := Function{Name: word[0], Symbol: word[1], Library: library, StandIn: word[3], Note: strings.Join(word[4:], " ")}
		if f.Symbol == "-" {
			f.Symbol = f.Name
		}
		switch word[2] {
		case "required":
			f.Required = true
		case "optional":
		default:
			return fail("%s is neither required nor optional but %q", f.Name, word[2])
		}
		switch f.StandIn {
		case "status", "number", "text", "name", "message", "own":
		default:
			return fail("%s has an unknown stand-in %q", f.Name, f.StandIn)
		}
		if seen[f.Name] || seen[f.Symbol] {
			return fail("%s is listed twice", f.Name)
		}
		seen[f.Name], seen[f.Symbol] = true, true
		functions = append(functions, f)
	}
	if len(functions) == 0 {
		return nil, fmt.Errorf("the list is empty")
	}
	return functions, nil
}

package pictures

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/gputrain/gputrain/internal/regularfile"
)

// listCSV lists the pictures that a CSV file names.
func listCSV(path string) (*listing, error) {
	text, err := regularfile.Read(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", path, reason(err))
	}
	in := bufio.NewReader(bytes.NewReader(text))
	if bom, err := in.Peek(3); err == nil && string(bom) == "\xef\xbb\xbf" {
		_, _ = in.Discard(3)
	}
	r := csv.NewReader(in)
	r.ReuseRecord = true
	r.TrimLeadingSpace = true
	r.Comma = separator(in)
	columns, err := header(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	dir := filepath.Dir(path)
	var pictures []labelled
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, plainly(err))
		}
		line, _ := r.FieldPos(0)
		p := labelled{path: filepath.FromSlash(strings.Clone(row[columns[0]])), class: strings.Clone(strings.TrimSpace(row[columns[1]]))}
		if p.path == "" || p.class == "" {
			return nil, fmt.Errorf("%s: line %d: want a path and a label", path, line)
		}
		if !filepath.IsAbs(p.path) {
			p.path = filepath.Join(dir, p.path)
		}
		if columns[2] >= 0 {
			split, ok := strings.TrimSpace(row[columns[2]]), true
			if split != "" {
				p.part, ok = partNamed(split)
			}
			if !ok {
				return nil, fmt.Errorf("%s: line %d: split %q is not train, validation or test", path, line, split)
			}
		}
		pictures = append(pictures, p)
	}
	l := &listing{}
	if err := l.number(path, pictures); err != nil {
		return nil, err
	}
	if len(l.classes) < 2 {
		return nil, fmt.Errorf("%s: %s, want at least two", path, count(len(l.classes), "label of training pictures", "labels of training pictures"))
	}
	return l, nil
}

// header returns the indices of the columns path, label and split. That of split is -1 if
// there is no such column.
func header(r *csv.Reader) ([3]int, error) {
	columns := [3]int{-1, -1, -1}
	row, err := r.Read()
	if errors.Is(err, io.EOF) {
		return columns, errors.New("empty; want a first line path,label or path,label,split")
	}
	if err != nil {
		return columns, plainly(err)
	}
	for i, name := range row {
		for k, want := range []string{"path", "label", "split"} {
			if strings.EqualFold(strings.TrimSpace(name), want) {
				if columns[k] >= 0 {
					return columns, fmt.Errorf("two columns are called %s", want)
				}
				columns[k] = i
			}
		}
	}
	if columns[0] < 0 || columns[1] < 0 {
		return columns, fmt.Errorf("the first line, %q, has no columns path and label; want path,label or path,label,split", strings.Join(row, ","))
	}
	return columns, nil
}

// separator returns the character between the columns of the first line: a comma, or the
// semicolon or tab that some spreadsheets write instead.
func separator(in *bufio.Reader) rune {
	line, _ := in.Peek(1024) // of a shorter file, all
	line, _, _ = bytes.Cut(line, []byte("\n"))
	for _, comma := range ";\t" {
		if !bytes.Contains(line, []byte(",")) && bytes.ContainsRune(line, comma) {
			return comma
		}
	}
	return ','
}

// plainly says in plain words what is wrong with a line of a CSV file.
func plainly(err error) error {
	e, ok := errors.AsType[*csv.ParseError](err)
	if !ok {
		return errors.New(reason(err))
	}
	switch {
	case errors.Is(e.Err, csv.ErrFieldCount):
		return fmt.Errorf("line %d: more or fewer columns than the first line has", e.Line)
	case errors.Is(e.Err, csv.ErrQuote):
		return fmt.Errorf("line %d: a quote begins that does not end where its value ends; write \"\" for a quote in a value", e.StartLine)
	case errors.Is(e.Err, csv.ErrBareQuote):
		return fmt.Errorf("line %d: a quote in the middle of a value; put the whole value in quotes, and write \"\" for a quote in it", e.Line)
	default:
		return fmt.Errorf("line %d: %s", e.Line, reason(e.Err))
	}
}

package net

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// mostJSON is the most bytes of JSON that are read for a network or settings. A pipe or a
// device file may have no end.
const mostJSON = 16 << 20

// readJSON reads all of r, without the UTF-8 byte-order mark that some editors write.
func readJSON(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, mostJSON+1))
	if err == nil && len(b) > mostJSON {
		err = fmt.Errorf("more than %d MiB, so no JSON of this kind", mostJSON>>20)
	}
	return bytes.TrimPrefix(b, []byte("\ufeff")), err
}

// strictUnmarshal decodes one JSON value and refuses unknown fields, and
// anything after the value. Its errors are for people who wrote the JSON.
func strictUnmarshal(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return jsonError(b, v, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("data after the JSON value")
	}
	return nil
}

// jsonError says in plain words why b can't be read into v: where it isn't JSON, which field
// has a value of the wrong type, or which field there is none of.
func jsonError(b []byte, v any, err error) error {
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("not valid JSON: there is nothing in it")
	case errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &syntax) && syntax.Offset >= int64(len(b)) && strings.HasPrefix(syntax.Error(), "unexpected end"):
		return fmt.Errorf("not valid JSON: it ends too early, in line %d", 1+bytes.Count(bytes.TrimRight(b, "\r\n"), []byte("\n")))
	case syntax != nil && syntax.Offset > 0 && syntax.Offset <= int64(len(b)):
		before := b[:syntax.Offset-1]
		return fmt.Errorf("not valid JSON: line %d has an unexpected %q", 1+bytes.Count(before, []byte("\n")), rest(b[syntax.Offset-1:]))
	case errors.As(err, &wrong):
		name := ""
		if wrong.Field != "" {
			name = jsonPath(wrong.Field) + ": "
		}
		return fmt.Errorf("%swant %s, got %s", name, jsonType(wrong.Type), jsonValue(wrong.Value))
	case strings.HasPrefix(err.Error(), "json: unknown field"):
		text := strings.TrimPrefix(err.Error(), "json: ")
		return errors.New(text + meant(strings.Trim(strings.TrimPrefix(text, "unknown field "), `"`), reflect.TypeOf(v)))
	}
	return err
}

// usualNames are fields by the names that they have elsewhere, or in short.
var usualNames = map[string]string{
	"lr": "learning_rate", "rate": "learning_rate", "wd": "weight_decay", "mom": "momentum", "eps": "epsilon", "beta_1": "beta1", "beta_2": "beta2",
	"batch_size": "batch", "opt": "optimizer", "sched": "schedule", "scheduler": "schedule", "clip": "clip_norm", "smoothing": "label_smoothing",
	"out_channels": "filters", "kernel_size": "kernel", "init": "weight_init",
	"rotation": "rotate", "degrees": "rotate", "hflip": "flip", "horizontal_flip": "flip",
}

// meant returns, in brackets, the field of a type or of what it holds that somebody may have
// meant by a name. It is "" if none is like it.
func meant(name string, t reflect.Type) string {
	paths := map[string]string{}
	fieldsOf(t, "", paths, map[reflect.Type]bool{})
	word := strings.ToLower(name)
	best, ok := paths[word]
	if !ok {
		best, ok = paths[usualNames[word]]
	}
	if !ok {
		for _, f := range slices.Sorted(maps.Keys(paths)) {
			if oneLetterApart(word, f) {
				best = paths[f]
				break
			}
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %s?)", best)
}

// oneLetterApart reports whether two words of four letters or more differ by one: another
// letter, one more or one less. The command line suggests words by a module for that, which a
// program that only infers should not need.
func oneLetterApart(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	switch {
	case len(a) < 4:
		return false
	case len(a) == len(b):
		return i < len(a) && a[i+1:] == b[i+1:]
	}
	return a[i:] == b[i+1:] && len(b) == len(a)+1
}

// fieldsOf collects the names that a type's fields have in JSON, and those of the types in it,
// with their paths below the type. Of a name that occurs several times, it takes the least deep.
func fieldsOf(t reflect.Type, path string, paths map[string]string, seen map[reflect.Type]bool) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || seen[t] {
		return
	}
	seen[t] = true
	deeper := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		if _, ok := paths[name]; !ok {
			paths[name] = path + name
		}
		deeper[name] = f.Type
	}
	for _, name := range slices.Sorted(maps.Keys(deeper)) {
		fieldsOf(deeper[name], path+name+".", paths, seen)
	}
}

// checkTexts returns an error for a text in JSON with characters that can't be shown, such as
// those that change a terminal's colours.
func checkTexts(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	for {
		token, err := d.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if text, ok := token.(string); ok && strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return fmt.Errorf("the text %+q has a character that can't be shown", text)
		}
	}
}

// jsonPath leaves the names of embedded structs, which are Go's, out of a path of fields.
func jsonPath(path string) string {
	parts := strings.Split(path, ".")
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p != "" && p[0] >= 'A' && p[0] <= 'Z' }), ".")
}

// rest returns the first 20 characters of b's first line, to show where an error is.
func rest(b []byte) string {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	text := []rune(strings.TrimRight(string(line), "\r"))
	return string(text[:min(len(text), 20)])
}

// jsonType names the type in JSON of a Go type's values.
func jsonType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Int, reflect.Int32, reflect.Int64:
		return "a whole number"
	case reflect.Uint64:
		return "a whole number of at least 0"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "text"
	case reflect.Slice, reflect.Array:
		return "a list"
	}
	return "an object"
}

// jsonValue names a value as [json.UnmarshalTypeError] describes it.
func jsonValue(value string) string {
	switch value {
	case "array":
		return "a list"
	case "object":
		return "an object"
	case "string":
		return "text"
	case "bool":
		return "true or false"
	case "number":
		return "a number"
	}
	return strings.TrimPrefix(value, "number ")
}

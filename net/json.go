package net

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
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
		return jsonError(b, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("data after the JSON value")
	}
	return nil
}

// jsonError says in plain words why b can't be read: where it isn't JSON, or which field
// has a value of the wrong type.
func jsonError(b []byte, err error) error {
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
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	return err
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

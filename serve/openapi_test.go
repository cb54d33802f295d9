package serve

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// description is openapi.yaml, found valid. It is read more strictly than it is
// written: an answer may have no field that it does not name.
var description = sync.OnceValues(func() (*openapi3.T, error) {
	text, err := files.ReadFile("openapi.yaml")
	if err != nil {
		return nil, err
	}
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(text)
	if err != nil {
		return nil, err
	}
	if err := doc.Validate(loader.Context); err != nil {
		return nil, err
	}
	no := false
	return doc, doc.WalkSchemas(func(_ string, s *openapi3.SchemaRef) error {
		if len(s.Value.Properties) > 0 {
			s.Value.AdditionalProperties = openapi3.AdditionalProperties{Has: &no}
		}
		return nil
	})
})

// undescribed are the addresses of the page, which programs have no use for.
var undescribed = []string{"/", "/page.css", "/page.js", "/openapi.yaml"}

// conforms holds an answer to the description, and, where it is no refusal, the
// request too. The request's body is passed apart, as it has been read.
func conforms(t testing.TB, r *http.Request, body []byte, status int, header http.Header, answer []byte) {
	t.Helper()
	doc, err := description()
	if err != nil {
		t.Error(err) // may be called where a test can't be ended
		return
	}
	if status < 400 && (slices.Contains(undescribed, r.URL.Path) || strings.HasPrefix(r.URL.Path, "/examples/")) {
		return
	}
	item := doc.Paths.Value(r.URL.Path)
	operation := &openapi3.Operation{Responses: openapi3.NewResponses(openapi3.WithName("default", doc.Components.Responses["Problem"].Value))}
	if item != nil && item.GetOperation(r.Method) != nil {
		operation = item.GetOperation(r.Method)
	} else if status != http.StatusNotFound && status != http.StatusMethodNotAllowed {
		t.Errorf("%s %s is not described, and answered %d", r.Method, r.URL.Path, status)
		return
	}
	request := &openapi3filter.RequestValidationInput{
		Request: r, QueryParams: r.URL.Query(),
		Route: &routers.Route{Spec: doc, Path: r.URL.Path, PathItem: item, Method: r.Method, Operation: operation},
		Options: &openapi3filter.Options{
			IncludeResponseStatus: true,
			AuthenticationFunc:    openapi3filter.NoopAuthenticationFunc,
			ExcludeRequestBody:    r.Header.Get("Content-Type") != "application/json", // an image is one whatever it is called
		},
	}
	if err := openapi3filter.ValidateResponse(t.Context(), (&openapi3filter.ResponseValidationInput{
		RequestValidationInput: request, Status: status, Header: header, Options: request.Options,
	}).SetBodyBytes(answer)); err != nil {
		t.Errorf("%s %s, answered %d: %v", r.Method, r.URL.Path, status, err)
	}
	if status < 400 {
		r.Body = io.NopCloser(bytes.NewReader(bytes.TrimPrefix(body, byteOrderMark))) // the mark is no part of the text
		if err := openapi3filter.ValidateRequest(t.Context(), request); err != nil {
			t.Errorf("%s %s was answered: %v", r.Method, r.URL.Path, err)
		}
	}
}

// received reads an answer that came over a connection, holds it to the
// description, and returns its status.
func received(t testing.TB, answer *http.Response, body []byte) int {
	t.Helper()
	b, err := io.ReadAll(answer.Body)
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		t.Error(err)
	}
	conforms(t, answer.Request, body, answer.StatusCode, answer.Header, b)
	return answer.StatusCode
}

// TestDescription checks that all that is described is there. Whether answers are as
// described, every other test checks with conforms.
func TestDescription(t *testing.T) {
	doc, err := description()
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, Options{})
	paths := 0
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			var body []byte
			if method == http.MethodPost {
				body = digitFile(t, 0)
			}
			if w := do(t, s, method, path, "", body); w.Code != http.StatusOK {
				t.Errorf("%s %s: status %d", method, path, w.Code)
			}
			paths++
		}
	}
	if paths != 6 {
		t.Errorf("%d operations are described, want 6", paths)
	}
}

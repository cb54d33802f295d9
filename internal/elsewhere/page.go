package elsewhere

import (
	"bytes"
	_ "embed" // for the engine
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/gputrain/gputrain/internal/plain"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/serve"
)

//go:generate go run generate.go

// PageMark is the mark of pages.
var PageMark = Mark{"index.html", `<meta name="generator" content="gputrain">`}

// What every page has: the engine, compiled to WebAssembly; the script of Go that starts it; the licence of both; and our
// script between them and the page. Generate.go makes all but the last.
var (
	//go:embed browser/engine.wasm.gz
	engineWASM []byte
	//go:embed browser/wasm_exec.js
	wasmExec string
	//go:embed browser/LICENSE-go
	goLicence string
	//go:embed browser/engine.js
	engineScript string
)

// Page returns the files of a page that classifies pictures by the network, in the browser. It works from any static web
// server, and when index.html is opened as a file. The options are those of [serve.StaticPage].
func Page(c *net.Checkpoint, o serve.Options) (map[string][]byte, error) {
	static, err := serve.StaticPage(c, o)
	if err != nil {
		return nil, err
	}
	m, err := NewModel(c, o.ClassNames)
	if err != nil {
		return nil, err
	}
	steps, weights := Compile(m.Plan, m.Weights)
	about := static.Model
	about.Network = nil // the steps are enough
	network := struct {
		In    plain.Shape
		Steps []plain.Step
		Scale float32
	}{plain.Shape(m.in()), steps, m.Scale}
	files := static.Files
	// One after the other, so that none of the long strings is copied more often than needed.
	var b bytes.Buffer
	b.WriteString("\"use strict\";\n// The network, as gputrain export wrote it: what it is, its steps, and its weights (float32).\nself.exported = {\n")
	for _, part := range []struct {
		name  string
		value any
	}{{"model", about}, {"network", network}} {
		text, err := json.Marshal(part.value)
		if err != nil {
			return nil, err
		}
		b.WriteString(part.name + ": ")
		b.Write(text)
		b.WriteString(",\n")
	}
	b.WriteString(`weights: "`)
	b.WriteString(base64.StdEncoding.EncodeToString(weights))
	b.WriteString("\",\n};\n")
	files["model.js"] = b.Bytes()
	script, err := json.Marshal(wasmExec)
	if err != nil {
		return nil, err
	}
	files["engine.js"] = []byte(strings.Join([]string{
		"\"use strict\";\n// What runs the network in a browser. It is the same for all networks.\n", engineScript,
		"\n/*\nThe two strings below are compiled by Go, or part of it:\n\n", strings.ReplaceAll(goLicence, "*/", "* /"), "*/\n",
		"self.engine = newEngine({\nruntime: ", string(script), ",\nwasm: \"", base64.StdEncoding.EncodeToString(engineWASM), "\",\n}, self.exported);\nself.exported = null; // the thread has a copy\n",
	}, ""))
	return files, nil
}

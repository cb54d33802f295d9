package serve

import (
	"encoding/base64"
	"fmt"

	"github.com/gputrain/gputrain/internal/page"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture"
)

// staticPolicy lets a page without a server load what is beside it and run the network, and nothing else. The network's
// thread is made from a text (blob:) and reads its parts from texts (data:), because a page that was opened as a file may
// fetch nothing from beside it.
const staticPolicy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src blob:; style-src 'self'; img-src 'self' blob: data:; " +
	"connect-src data:; base-uri 'none'; form-action 'none'"

// Static is the page for a network, as files of a folder, to be used without a server. The folder needs two more files:
// model.js and engine.js, which defines a function engine(path, body). That takes the place of requests: it returns a
// promise of what the server would answer.
type Static struct {
	Files map[string][]byte
	Model Model // what GET /v1/model would answer. The examples' addresses are data URIs
}

// StaticPage returns the page for a checkpoint's network. It uses the same fields of the options as the page of a server:
// ClassNames, Preparation and Examples.
func StaticPage(c *net.Checkpoint, o Options) (*Static, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	plan, err := c.Network.Plan()
	if err != nil {
		return nil, err
	}
	s := &Server{options: o}
	m := &model{plan: plan}
	if m.subject, err = s.subjectOf(c, plan); err != nil {
		return nil, err
	}
	if m.subject.kind == kindValues {
		return nil, fmt.Errorf("the network takes no pictures, so a page has nothing to show it")
	}
	s.describe(m, c, "this browser")
	m.Activations = true
	for i := range m.Examples {
		file, err := pngOf(o.Examples.Pixels[o.Examples.Row(int32(i))*m.Input.Size():][:m.Input.Size()], m.Input)
		if err != nil {
			return nil, err
		}
		m.Examples[i].Image = "data:image/png;base64," + base64.StdEncoding.EncodeToString(file)
	}
	// The browser decodes pictures, and few are asked about at a time.
	m.Limits = RequestLimits{Images: 1, BodyBytes: picture.MaxBytes, Pixels: 25_000_000}
	out := &Static{Model: m.Model, Files: map[string][]byte{"index.html": m.subject.page(staticPolicy)}}
	for _, name := range []string{"page.css", "page.js"} {
		if out.Files[name], err = files.ReadFile("page/" + name); err != nil {
			return nil, err
		}
	}
	out.Files["page.css"] = append([]byte(page.Style()), out.Files["page.css"]...)
	return out, nil
}

package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/sync/semaphore"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture"
)

// query is what a request's address asks for.
type query struct {
	prepare picture.Preparation // Auto is as the network was trained
	top     int                 // classes an image; 0 for all
	seen    bool                // the picture that the network sees, too
}

// parseQuery reads ?prepare=HOW&top=N&seen=true.
func parseQuery(raw string) (query, error) {
	q := query{prepare: picture.Auto}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return q, problemf(http.StatusBadRequest, "the query can't be read: %.100s", oneLine(err.Error()))
	}
	for key, v := range values {
		text := v[len(v)-1]
		switch key {
		case "prepare":
			p, err := picture.ParsePreparation(text)
			if err != nil {
				return q, problemf(http.StatusBadRequest, "prepare=%.20s: want one of %v", text, picture.Preparations())
			}
			q.prepare = p
		case "top":
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 {
				return q, problemf(http.StatusBadRequest, "top=%.20s: want a number of classes, at least 1", text)
			}
			q.top = n
		case "seen":
			seen, err := strconv.ParseBool(text)
			if err != nil {
				return q, problemf(http.StatusBadRequest, "seen=%.20s: want true or false", text)
			}
			q.seen = seen
		default:
			return q, problemf(http.StatusBadRequest, "there is no parameter %.20q: want prepare, top or seen", key)
		}
	}
	return q, nil
}

// samples are the images of a request as a network's input.
type samples struct {
	values []float32 // one image after the other
	names  []string  // of image files, "" where unknown; nil of arrays
	pixels [][]uint8 // of image files, prepared; nil of arrays
	n      int
}

// decoder makes samples of requests' bodies.
type decoder struct {
	in        net.Shape
	prepare   picture.Preparation
	scale     float32 // of bytes; 0 where nobody knows how bytes become the network's values
	maxImages int
	maxPixels int
	pixelsFor func(pixels int) *semaphore.Weighted // the budget that an image with this number of pixels is taken from
}

// decode reads a body of a content type. What is wrong with it is a *problem.
func (d *decoder) decode(ctx context.Context, contentType string, body []byte) (*samples, error) {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil && contentType != "" {
		return nil, problemf(http.StatusUnsupportedMediaType, "the content type can't be read: %.100q", contentType)
	}
	switch {
	case kind == "application/json":
		values, err := decodeArrays(body, d.in, d.scale, d.maxImages)
		if err != nil {
			return nil, err
		}
		return &samples{values: values, n: len(values) / d.in.Size()}, nil
	case kind == "multipart/form-data":
		return d.parts(ctx, params["boundary"], body)
	case len(body) == 0:
		return nil, problemf(http.StatusBadRequest, "the body is empty; send an image file, a form with image files, or JSON")
	}
	// Whatever a client calls it (curl calls everything a form), it is an image or not.
	s := &samples{}
	if err := d.add(ctx, s, "", body); err != nil {
		return nil, err
	}
	return s, nil
}

// parts reads a form of image files. Fields that hold no file are passed over.
func (d *decoder) parts(ctx context.Context, boundary string, body []byte) (*samples, error) {
	if boundary == "" {
		return nil, problemf(http.StatusBadRequest, "the content type multipart/form-data lacks its boundary")
	}
	s := &samples{}
	r := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		part, err := r.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, problemf(http.StatusBadRequest, "the form is damaged: %s", oneLine(err.Error()))
		}
		file, err := io.ReadAll(part)
		if err != nil {
			return nil, problemf(http.StatusBadRequest, "the form is damaged: %s", oneLine(err.Error()))
		}
		if isNoFile(part, file) {
			continue
		}
		if s.n == d.maxImages {
			return nil, problemf(http.StatusRequestEntityTooLarge, "more than %d images; ask about them in several requests", d.maxImages)
		}
		if err := d.add(ctx, s, nameOf(part), file); err != nil {
			return nil, err
		}
	}
	if s.n == 0 {
		return nil, problemf(http.StatusBadRequest, "the form has no image file")
	}
	return s, nil
}

// isNoFile tells a form's field of text, or one for which no file was chosen. An image
// is one even where the client gave it no name.
func isNoFile(part *multipart.Part, content []byte) bool {
	if part.FileName() != "" {
		return false
	}
	kind := part.Header.Get("Content-Type")
	if len(content) == 0 || kind != "" && !strings.HasPrefix(strings.ToLower(kind), "text/") {
		return len(content) == 0
	}
	_, err := picture.Header(content)
	return errors.Is(err, picture.ErrFormat)
}

// maxName bounds the names of files that stand in answers.
const maxName = 100

// nameOf is the name of a form's file, or else of its field, as far as it can be
// shown.
func nameOf(part *multipart.Part) string {
	name := part.FileName()
	if name == "" {
		name = part.FormName()
	}
	name = strings.ToValidUTF8(name, "?")
	for len(name) > maxName {
		_, size := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-size]
	}
	return name
}

// add decodes and prepares an image file.
func (d *decoder) add(ctx context.Context, s *samples, name string, file []byte) error {
	if d.scale == 0 {
		return problemf(http.StatusUnprocessableEntity, "%s%s", where(s.n+1, name), noScale)
	}
	release := func() {}
	defer func() { release() }()
	img, err := picture.Decode(file, func(width, height int) error {
		if err := picture.CheckSize(width, height, d.maxPixels); err != nil {
			return err
		}
		n := int64(width * height)
		budget := d.pixelsFor(width * height)
		if err := budget.Acquire(ctx, n); err != nil {
			return err
		}
		release = func() { budget.Release(n) }
		return nil
	})
	var pixels []uint8
	if err == nil {
		pixels, err = d.prepare.Pixels(img, d.in)
	}
	if err != nil {
		status, hint := http.StatusUnprocessableEntity, ""
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, picture.ErrTooLarge):
			status = http.StatusRequestEntityTooLarge
		case errors.Is(err, picture.ErrFormat):
			status = http.StatusUnsupportedMediaType
			if b := bytes.TrimLeft(bytes.TrimPrefix(file, byteOrderMark), " \t\r\n"); len(b) > 0 && (b[0] == '{' || b[0] == '[') {
				hint = "; JSON needs the content type application/json"
			}
		}
		return problemf(status, "%s%s%s", where(s.n+1, name), oneLine(err.Error()), hint)
	}
	s.values = slices.Grow(s.values, len(pixels))
	for _, p := range pixels {
		s.values = append(s.values, float32(p)*d.scale)
	}
	s.names = append(s.names, name)
	s.pixels = append(s.pixels, pixels)
	s.n++
	return nil
}

// noScale says why a network takes no pictures.
const noScale = "the network was trained on values that are not bytes, so it is not known what values a picture has; send JSON with \"values\""

// where names an image in a message.
func where(n int, name string) string {
	if name == "" {
		return fmt.Sprintf("image %d: ", n)
	}
	return fmt.Sprintf("image %d (%q): ", n, name)
}

// oneLine puts a text on one line.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

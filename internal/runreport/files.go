package runreport

import (
	"image"
	"io"
	"strings"

	"github.com/gputrain/gputrain/internal/chart"
	"github.com/gputrain/gputrain/internal/raster"
)

// File is a chart or a picture of the report as a file.
type File struct {
	Name  string // for example loss.svg
	Write func(io.Writer) error
}

// The columns of sheets in files, and the size of a pixel.
const (
	fileColumns = 8
	filePixel   = 4
)

// Files returns the report's charts as SVG files and its pictures as PNG files.
// If there are several runs, the names of files about one run begin with the
// run's name.
func (r *Report) Files() []File {
	var out []File
	draw := func(name string, d *chart.Drawing) { out = append(out, File{name + ".svg", d.WriteFile}) }
	for _, c := range r.curves() {
		draw(c.file, c.Draw())
	}
	for _, run := range r.Runs {
		before := ""
		if len(r.Runs) > 1 {
			before = fileName(run.Name) + "-"
		}
		paint := func(name string, img image.Image) {
			out = append(out, File{before + name + ".png", func(w io.Writer) error { return raster.Write(w, img) }})
		}
		if e := run.Evaluation; e != nil {
			draw(before+"confusion", run.confusion().Draw())
			var mistakes []image.Image
			for _, m := range e.Mistakes {
				mistakes = append(mistakes, SampleOf(e.Data, m.Index))
			}
			if len(mistakes) > 0 {
				paint("mistakes", raster.Sheet(mistakes, fileColumns, 2, filePixel))
			}
		}
		for _, f := range run.Filters {
			sheet := f.Matrix
			if sheet == nil {
				sheet = raster.Sheet(f.Tiles, fileColumns, 1, 1)
			}
			paint("filters-"+f.Layer.Name, raster.Sheet([]image.Image{sheet}, 1, 0, enlarged(sheet, 640)))
		}
		if m := run.Image; m != nil {
			paint("image", raster.Sheet([]image.Image{m.Sample}, 1, 0, 2*filePixel))
			for _, l := range m.Layers {
				name := "maps-" + strings.ReplaceAll(l.Name, ", ", "-")
				if l.flat() {
					paint(name, raster.Sheet([]image.Image{l.strip()}, 1, 0, 2*filePixel))
				} else {
					maps := l.maps()
					paint(name, raster.Sheet(maps, fileColumns, 1, enlarged(maps[0], 28*filePixel)))
				}
			}
			draw(before+"probabilities", run.answers().Draw())
		}
	}
	return out
}

// fileName turns a run's name into a file name. It replaces characters that a
// file name may not have.
func fileName(name string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune(`/\:*?"<>| `, r) {
			return '-'
		}
		return r
	}, name)
}

package prepare

import _ "embed" // for the sources

// The files that do it all. They are single strings, because package embed's own type would make programs larger.
var (
	//go:embed colour.go
	colourSource string
	//go:embed digit.go
	digitSource string
	//go:embed ink.go
	inkSource string
	//go:embed pixels.go
	pixelsSource string
	//go:embed resample.go
	resampleSource string
	//go:embed turn.go
	turnSource string
)

// Sources returns the source of everything that prepares, in several files.
func Sources() []string {
	return []string{colourSource, digitSource, inkSource, pixelsSource, resampleSource, turnSource}
}

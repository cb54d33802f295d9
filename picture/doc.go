// Package picture turns image files into inputs of networks. [Decode] and [Read] decode a
// JPEG, PNG, GIF, BMP, TIFF or WebP file and turn the image upright. [Preparation.Pixels]
// returns the values of one sample. [Preparation.PixelsTo] writes them to memory of the
// caller, for many samples. [Header] reads the header of a file without decoding the
// image. A [Classifier] asks a trained network what images show.
//
// The contents of a file decide its format, not its name. An error is one line that says
// what is wrong with a file, and errors.Is tells its kind.
package picture

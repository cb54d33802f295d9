package net

import (
	"bytes"
	"strings"
)

// foreignFormats are formats of files that people take for safetensors files, by the
// bytes with which a file begins. ? is any byte.
var foreignFormats = []struct{ magic, is string }{
	{"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes (.h5)"},
	{"????TFL3", "a TensorFlow Lite file"},
	{"GGUF", "a GGUF file"},
	{"\x93NUMPY", "a NumPy file (.npy)"},
	{"\x80\x02", "a pickle file, as old versions of PyTorch write (.pt)"},
	{"\x80\x03", "a pickle file of Python"}, {"\x80\x04", "a pickle file of Python"}, {"\x80\x05", "a pickle file of Python"},
	{"\x08\x01\x12", "a saved model of TensorFlow (.pb)"},
	{"\x1f\x8b", "compressed by gzip"},
	{"\xff\xd8\xff", "a picture (JPEG)"}, {"\x89PNG\r\n", "a picture (PNG)"}, {"GIF8", "a picture (GIF)"},
	{"BM????\x00\x00\x00\x00", "a picture (BMP)"}, {"II*\x00", "a picture (TIFF)"}, {"MM\x00*", "a picture (TIFF)"}, {"RIFF????WEBP", "a picture (WebP)"},
	{"version https://git-lfs", "a pointer of Git LFS, not the file itself (git lfs pull fetches it)"},
	{"%PDF", "a PDF file"},
}

// zipped tells what a zip archive is by a part of its first entry's name.
var zipped = []struct{ part, is string }{
	{"model.weights.h5", "a Keras file (.keras)"}, {"metadata.json", "a Keras file (.keras)"}, {"config.json", "a Keras file (.keras)"},
	{".npy", "a NumPy file (.npz)"},
	{"/data.pkl", "a PyTorch file (.pt)"}, {"/.format_version", "a PyTorch file (.pt)"}, {"/version", "a PyTorch file (.pt)"}, {"/byteorder", "a PyTorch file (.pt)"},
}

// foreignFormat returns what a file is that is no safetensors file, judged by its
// contents, such as "an ONNX file". It returns "" if it doesn't know.
func foreignFormat(b []byte) string {
	for _, f := range foreignFormats {
		if beginsLike(b, f.magic) {
			return f.is
		}
	}
	switch text := bytes.TrimLeft(b[:min(len(b), 512)], " \t\r\n\ufeff"); {
	case beginsLike(b, "PK\x03\x04"):
		return zipFormat(b)
	case isONNX(b):
		return "an ONNX file"
	case bytes.HasPrefix(text, []byte("{")), bytes.HasPrefix(text, []byte("[")):
		return "JSON text"
	}
	return ""
}

// zipFormat returns what a zip archive is, by the name of its first entry.
func zipFormat(b []byte) string {
	const header, at = 30, 26 // the length of a local file header, and where the length of the name stands in it
	if len(b) >= header {
		length := int(b[at]) | int(b[at+1])<<8
		name := string(b[header:min(len(b), header+length)])
		for _, z := range zipped {
			if strings.Contains(name, z.part) {
				return z.is
			}
		}
	}
	return "a zip archive"
}

// isONNX reports whether a file begins like an ONNX model: a protobuf message whose first
// field is the version of the format, from 3 on, before another field of the model.
func isONNX(b []byte) bool {
	const fields = "\x12\x1a\x22\x28\x32\x3a\x42" // the tags of producer, version, domain, documentation, graph and operators
	return len(b) > 2 && b[0] == 0x08 && b[1] >= 3 && b[1] < 64 && strings.IndexByte(fields, b[2]) >= 0
}

// beginsLike reports whether b begins with magic, where ? is any byte.
func beginsLike(b []byte, magic string) bool {
	if len(b) < len(magic) {
		return false
	}
	for i := range len(magic) {
		if magic[i] != '?' && magic[i] != b[i] {
			return false
		}
	}
	return true
}

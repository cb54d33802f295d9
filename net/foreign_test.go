package net

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestForeignFormats gives files of other programs for checkpoints and for weights. The
// message says what they are, whatever they are called.
func TestForeignFormats(t *testing.T) {
	zip := func(first string) string {
		return "PK\x03\x04" + strings.Repeat("\x00", 22) + string(rune(len(first))) + "\x00\x00\x00" + first + "contents"
	}
	p, err := BuiltIn("tutorial").Plan()
	if err != nil {
		t.Fatal(err)
	}
	alone := filepath.Join(t.TempDir(), "weights.safetensors")
	if err := SaveWeights(alone, p, InitialState(p, 1, nil).Params, ChannelsFirst); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadCheckpoint(alone); !errors.Is(err, ErrCheckpoint) || !strings.HasSuffix(err.Error(), "make a run of it by gputrain import") {
		t.Errorf("weights as a checkpoint: %v", err)
	}
	for contents, want := range map[string]string{
		"\x08\x08\x12\x08gputrain\x1a\x01":             "it is an ONNX file: ",
		"\x08\x07\x12\x07pytorch":                      "it is an ONNX file: ",
		"\x08\x0a\x3a\x02\x0a\x00":                     "it is an ONNX file: ",
		"\x08\x01\x12\x90\x01":                         "it is a saved model of TensorFlow (.pb): ",
		zip("archive/data.pkl"):                        "it is a PyTorch file (.pt): ",
		zip("resnet/version"):                          "it is a PyTorch file (.pt): ",
		zip("metadata.json"):                           "it is a Keras file (.keras): ",
		zip("w.npy"):                                   "it is a NumPy file (.npz): ",
		zip("photo.jpg"):                               "it is a zip archive: ",
		"PK\x03\x04":                                   "it is a zip archive: ",
		"\x89HDF\r\n\x1a\n\x00\x00":                    "it is an HDF5 file, as Keras writes (.h5): ",
		"\x80\x02\x8a\x0a":                             "it is a pickle file, as old versions of PyTorch write (.pt): ",
		"\x1c\x00\x00\x00TFL3":                         "it is a TensorFlow Lite file: ",
		"\xff\xd8\xff\xe0\x00\x10JFIF":                 "it is a picture (JPEG): ",
		" {\"layers\": []}":                            "it is JSON text: ",
		"version https://git-lfs.github.com/spec/v1\n": "it is a pointer of Git LFS, not the file itself (git lfs pull fetches it): ",
		"nothing that anybody knows":                   "damaged, cut short or not in the safetensors format: ",
		"":                                             "damaged, cut short or not in the safetensors format: ",
	} {
		path := filepath.Join(t.TempDir(), "model.safetensors")
		if err := os.WriteFile(path, []byte(contents), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := LoadCheckpoint(path)
		if !errors.Is(err, ErrCheckpoint) || !strings.Contains(err.Error(), ErrCheckpoint.Error()+": "+want) {
			t.Errorf("%q as a checkpoint: %v, want %q", contents, err, want)
		}
		_, err = LoadWeights(path, p, ChannelsFirst, nil)
		if !errors.Is(err, ErrWeights) || !strings.Contains(err.Error(), ErrWeights.Error()+": "+want) {
			t.Errorf("%q as weights: %v, want %q", contents, err, want)
		}
	}
}

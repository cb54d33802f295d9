package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDamagedLabel trains on a folder in which one label can't be: the message
// must say where.
func TestDamagedLabel(t *testing.T) {
	inFolder(t)
	if err := os.Mkdir("mine", 0o755); err != nil {
		t.Fatal(err)
	}
	// A folder among the files doesn't make the data set one of pictures.
	if err := os.Mkdir(filepath.Join("mine", "notes"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join("mine", "train-images-idx3-ubyte"), "")
	refuses(t, exitFailed, filepath.Join("mine", "train-images-idx3-ubyte")+": byte 0: magic number: file is truncated: 0 of 4 bytes; fetch or copy it again", "data", "mine")
	images := func(n byte) string {
		head := "\x00\x00\x08\x03\x00\x00\x00" + string(rune(n)) + "\x00\x00\x00\x1c\x00\x00\x00\x1c"
		return head + strings.Repeat("\x07", int(n)*28*28)
	}
	labels := func(l string) string { return "\x00\x00\x08\x01\x00\x00\x00" + string(rune(len(l))) + l }
	write(t, filepath.Join("mine", "train-images-idx3-ubyte"), images(6))
	write(t, filepath.Join("mine", "train-labels-idx1-ubyte"), labels("\x00\x09\xc8\x01\x00\x01"))
	write(t, filepath.Join("mine", "t10k-images-idx3-ubyte"), images(1))
	write(t, filepath.Join("mine", "t10k-labels-idx1-ubyte"), labels("\x03"))
	refuses(t, exitFailed, "the model tells 10 classes apart, but data set mine training has 201: "+
		"choose another --model or --data, or mend the file if it is damaged: "+
		filepath.Join("mine", "train-labels-idx1-ubyte")+
		": byte 10: label data: label outside the classes: label 200 of image 2 is not from 0 to 9",
		"train", "--model", "quick.json", "--data", "mine", "--batch", "2")
}

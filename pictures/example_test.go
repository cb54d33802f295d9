package pictures_test

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"log"
	"os"
	"path/filepath"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/pictures"
)

// Open a folder of pictures, of which each class has a folder of its own.
func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	flowers := filepath.Join(dir, "flowers")
	draw(flowers, "poppy", color.NRGBA{210, 40, 30, 255})
	draw(flowers, "cornflower", color.NRGBA{60, 80, 200, 255})

	set, err := pictures.Open(context.Background(), flowers, pictures.Options{
		Height: 16, Width: 16,
		CacheDir: filepath.Join(dir, "cache"), // without it, in the user's cache
	})
	if err != nil {
		log.Fatal(err)
	}
	defer set.Close()
	fmt.Println(set.ClassNames, set.Train.Shape)
	fmt.Println(set.Train.Len(), "to learn from,", set.Validation.Len(), "to validate,", set.Test.Len(), "to test")
	fmt.Println(set.Notes[0])
	// Output:
	// [cornflower poppy] 3 x 16 x 16
	// 16 to learn from, 2 to validate, 2 to test
	// no test set of its own: the seed chose 2 of 20 training pictures, about a tenth of each class
}

// Open pictures in an archive. Files that are embedded, or any other fs.FS, do as well.
func ExampleOpenFS() {
	var file bytes.Buffer
	archive := zip.NewWriter(&file)
	for i := range 20 {
		w, err := archive.Create(fmt.Sprintf("%s/%d.png", []string{"poppy", "cornflower"}[i%2], i))
		if err != nil {
			log.Fatal(err)
		}
		if err := png.Encode(w, flower(i)); err != nil {
			log.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		log.Fatal(err)
	}

	files, err := zip.NewReader(bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		log.Fatal(err)
	}
	set, err := pictures.OpenFS(context.Background(), files, "flowers", pictures.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer set.Close()
	fmt.Println(set.ClassNames, set.Train.Shape, set.Train.Len())
	// Output: [cornflower poppy] 3 x 20 x 20 16
}

// A data set of images that a program has already.
func ExampleFromImages() {
	var images []pictures.Labelled
	for i := range 20 {
		images = append(images, pictures.Labelled{Image: flower(i), Class: []string{"poppy", "cornflower"}[i%2]})
	}
	set, err := pictures.FromImages(context.Background(), images, "flowers", pictures.Options{Height: 16, Width: 16})
	if err != nil {
		log.Fatal(err)
	}
	defer set.Close()
	fmt.Println(set.ClassNames, set.Train.Shape, set.Train.Len())
	// A run that remembers this needs to be told nothing when it is asked about pictures.
	cfg := net.Config{Train: set.Train, Validation: set.Validation, Test: set.Test, Subject: set.Subject()}
	fmt.Println(cfg.Subject.ClassNames, cfg.Subject.Prepare)
	// Output:
	// [cornflower poppy] 3 x 16 x 16 16
	// [cornflower poppy] crop
}

// flower is red or blue, and each is a little different.
func flower(i int) image.Image {
	img := image.NewNRGBA(image.Rect(0, 0, 20, 20))
	for k := range 400 {
		img.Set(k%20, k/20, [2]color.NRGBA{{210, 40, uint8(k * i), 255}, {60, uint8(k * i), 200, 255}}[i%2])
	}
	return img
}

// draw writes ten pictures of a class.
func draw(dir, class string, c color.Color) {
	if err := os.MkdirAll(filepath.Join(dir, class), 0o755); err != nil {
		log.Fatal(err)
	}
	for i := range 10 {
		img := image.NewNRGBA(image.Rect(0, 0, 20, 20))
		for y := i; y < 20; y++ {
			for x := range 20 {
				img.Set(x, y, c)
			}
		}
		f, err := os.Create(filepath.Join(dir, class, fmt.Sprintf("%d.png", i)))
		if err != nil {
			log.Fatal(err)
		}
		if err := png.Encode(f, img); err != nil {
			log.Fatal(err)
		}
		if err := f.Close(); err != nil {
			log.Fatal(err)
		}
	}
}

package mnist_test

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/gputrain/gputrain/mnist"
)

func ExampleTutorial() {
	split, err := mnist.Tutorial()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d to train, %d to validate, %d to test\n", split.Train.Len(), split.Validation.Len(), split.Test.Len())
	fmt.Printf("%v in %d classes\n", split.Test.Shape, split.Test.Classes)

	fmt.Printf("the first test image is a %s:\n", split.ClassNames[split.Test.Labels[0]])
	pixels := make([]float32, split.Test.Shape.Size())
	split.Test.Gather(pixels, []int32{0})
	for y := 7; y < 28; y += 2 {
		var row strings.Builder
		for x := range 28 {
			row.WriteByte(" .+#"[int(pixels[y*28+x]*3.99)])
		}
		fmt.Println(strings.TrimRight(row.String(), " "))
	}
	// Output:
	// 55000 to train, 5000 to validate, 10000 to test
	// 1 x 28 x 28 in 10 classes
	// the first test image is a 7:
	//       .+++
	//       ....+##########+
	//                   .##
	//                  +##
	//                 +#+
	//                .#+
	//               ##+
	//              ##.
	//            +##
	//           .###
}

// A directory may hold Fashion-MNIST, KMNIST, EMNIST, CIFAR-10 or data of one's
// own. This one holds MNIST.
func ExampleLoad() {
	split, err := mnist.Load("data", mnist.FirstTenth)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %d images\n", split.Train.Name, split.Train.Len())
	fmt.Printf("%s: %d images\n", split.Validation.Name, split.Validation.Len())
	fmt.Printf("%s: %d images\n", split.Test.Name, split.Test.Len())
	// Output:
	// data training: 55000 images
	// data validation: 5000 images
	// data test: 10000 images
}

func ExampleReadIDX() {
	file := []byte{
		0, 0, byte(mnist.Int16), 2, // magic number, element type, number of dimensions
		0, 0, 0, 2, 0, 0, 0, 3, // 2 x 3
		0, 1, 0, 2, 0, 3,
		0xff, 0xff, 0xff, 0xfe, 0xff, 0xfd,
	}
	a, err := mnist.ReadIDX(bytes.NewReader(file), "small.idx")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(a.Type, a.Dims, a.At(2), a.At(5))

	_, err = mnist.ReadIDX(bytes.NewReader(file[:18]), "small.idx")
	fmt.Println(err)
	fmt.Println(errors.Is(err, mnist.ErrTruncated))
	// Output:
	// int16 [2 3] 3 -3
	// small.idx: byte 18: data: file is truncated: the header claims 12 bytes of data (2 x 3 int16), the file holds 6; fetch or copy it again
	// true
}

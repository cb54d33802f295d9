package driver_test

import (
	"errors"
	"fmt"

	"github.com/gputrain/gputrain/cuda/driver"
)

// What a machine has, as `gputrain devices` prints it; and whether it is enough.
func Example() {
	fmt.Print(driver.Describe())

	libraries, err := driver.Open()
	switch {
	case errors.Is(err, driver.ErrNotBuilt):
		fmt.Println("this program can't use a GPU")
	case err != nil:
		fmt.Println("this machine can't:", err)
	default:
		fmt.Println("training on", libraries.Devices[0].Name)
	}
}

// Errors keep the call and the status, and their text needs no library.
func ExampleCheck() {
	err := driver.Check("cuInit", 100)
	fmt.Println(err)
	fmt.Println(errors.Is(err, driver.ErrNoDevice))

	var e *driver.Error
	if errors.As(err, &e) {
		fmt.Println(e.Op, e.Status.Code(), e.Status.Name())
	}
	// Output:
	// cuInit: CUDA_ERROR_NO_DEVICE (100): no device; the driver sees no GPU
	// true
	// cuInit 100 CUDA_ERROR_NO_DEVICE
}

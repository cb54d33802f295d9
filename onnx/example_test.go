package onnx_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/onnx"
)

// The weights would be a trained program's, from its State, or a checkpoint's.
func ExampleWrite() {
	plan, err := net.BuiltIn("lenet5").Plan()
	if err != nil {
		log.Fatal(err)
	}
	weights := net.InitialState(plan, 1, nil).Params

	folder, err := os.MkdirTemp("", "onnx")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "lenet5.onnx")
	file, err := os.Create(path)
	if err != nil {
		log.Fatal(err)
	}
	if err := onnx.Write(file, plan, weights, onnx.Options{}); err != nil {
		log.Fatal(err)
	}
	if err := file.Close(); err != nil {
		log.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d weights of 4 bytes in a file of %d kB\n", plan.Weights(), info.Size()/1000)
	// Output:
	// 61706 weights of 4 bytes in a file of 248 kB
}

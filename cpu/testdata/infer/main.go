// Infer says what a picture shows: infer RUN PICTURE. It is here to be linked, so that a
// test can see that nothing of training is in it.
package main

import (
	"fmt"
	"log"
	"os"

	"github.com/gputrain/gputrain/cpu"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture"
)

func main() {
	checkpoint, err := net.LoadCheckpoint(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	network, err := cpu.NewInferrer(checkpoint, 1, cpu.Options{})
	if err != nil {
		log.Fatal(err)
	}
	classifier, err := picture.NewClassifier(network, checkpoint.Subject)
	if err != nil {
		log.Fatal(err)
	}
	f, err := os.Open(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	img, err := picture.Read(f)
	if err != nil {
		log.Fatal(err)
	}
	classes, err := classifier.Classify(img)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(classes[0].Class, classes[0].Probability)
}

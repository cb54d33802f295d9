//go:build ignore

// Generate writes the files that are made from functions.txt.
package main

import (
	"log"
	"os"

	"github.com/gputrain/gputrain/cuda/driver/internal/trampoline"
)

func main() {
	log.SetFlags(0)
	list, err := os.ReadFile("functions.txt")
	if err != nil {
		log.Fatal(err)
	}
	functions, err := trampoline.Parse(string(list))
	if err != nil {
		log.Fatal("functions.txt: ", err)
	}
	files, err := trampoline.Files(functions)
	if err != nil {
		log.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(name, text, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

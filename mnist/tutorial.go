package mnist

import (
	"embed"
	"fmt"
	"io/fs"
	"sync"
)

// embedded holds the MNIST database; data/README.md states source and licence.
//
//go:embed data/*.gz
var embedded embed.FS

var tutorial = sync.OnceValues(func() (*Split, error) {
	data, err := fs.Sub(embedded, "data")
	if err != nil {
		return nil, fmt.Errorf("embedded MNIST: %w", err)
	}
	return directory{fsys: data, path: "embedded", name: "MNIST", splitter: FirstTenth}.load()
})

// Tutorial returns the embedded MNIST database: 55,000 training, 5,000 validation and 10,000
// test images of ten digits, 1 x 28 x 28, white on black. The first call decompresses it.
// All callers share it and must not change it.
func Tutorial() (*Split, error) { return tutorial() }

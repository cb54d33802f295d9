// Ptxtool makes and checks the PTX of the kernels:
//
//	ptxtool build DIR      compile DIR's .cu files with nvcc, write their PTX and the manifest
//	ptxtool assemble DIR   assemble DIR's PTX with ptxas, show what each kernel uses, and fail if one spills
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/gputrain/gputrain/kernels/internal/ptx"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: ptxtool build|assemble DIR")
		os.Exit(2)
	}
	var err error
	switch os.Args[1] {
	case "build":
		err = ptx.Build(os.Args[2])
	case "assemble":
		err = assemble(os.Args[2])
	default:
		err = fmt.Errorf("unknown command %q: build or assemble", os.Args[1])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "ptxtool:", err)
		os.Exit(1)
	}
}

func assemble(folder string) error {
	if err := ptx.Check(os.DirFS(folder)); err != nil {
		return err
	}
	ptxas, err := ptx.Find("ptxas")
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(folder, "ptx", "*.ptx"))
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "file\tkernel\tfor\tregisters\tspill stores\tspill loads\tstack\tshared\t")
	var spills []error
	for _, file := range files {
		for _, architecture := range ptx.Architectures(file) {
			usages, err := ptx.Assemble(ptxas, file, architecture)
			if err != nil {
				return err
			}
			for _, u := range usages {
				if u.SpillStores+u.SpillLoads > 0 {
					spills = append(spills, fmt.Errorf("%s spills registers on %s", u.Kernel, u.Architecture))
				}
				fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t\n", filepath.Base(file), u.Kernel, u.Architecture, u.Registers, u.SpillStores,
					u.SpillLoads, u.Stack, u.Shared)
			}
		}
	}
	return errors.Join(append(spills, table.Flush())...)
}

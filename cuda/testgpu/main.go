// Testgpu tests gputrain on this machine's GPU and writes one file about it, gpu-report.txt. Run it from the module's
// root, or with make:
//
//	make test-gpu   builds what it needs and runs every step
//	make gpu-kit    builds it all into the folder bin/gpu-kit, for a GPU's machine without Go: there, run ./testgpu
//
// The steps are in suite.go. The first step that fails ends the run, unless -keep-going is set. The report is written
// after each step, whether it passed or failed. Without a GPU, and on a simulated one, the run fails, so nothing is
// skipped in silence. docs/gpu.md tells how to read the report.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("testgpu: ")
	reportFile := flag.String("report", "gpu-report.txt", "write the report to `FILE`")
	keepGoing := flag.Bool("keep-going", false, "go on after a step that failed")
	within := flag.Duration("within", 0, "end within `TIME`, such as 9m; the steps left over are not run (0: no limit)")
	kit := flag.String("kit", "", "only build what a machine without Go needs, into `FOLDER`")
	flag.Parse()
	if flag.NArg() > 0 {
		log.Fatalf("takes flags alone, not %q", flag.Arg(0))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if *kit != "" {
		err = buildKit(ctx, *kit)
	} else {
		err = test(ctx, *reportFile, *keepGoing, *within)
	}
	if err != nil {
		stop()
		log.Fatal(err)
	}
}

// test runs every step. Its error means that the GPU did not pass.
func test(ctx context.Context, reportFile string, keepGoing bool, within time.Duration) error {
	if within > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, within)
		defer cancel()
	}
	s, err := newSuite()
	if err != nil {
		return err
	}
	defer s.close()
	r := &report{file: reportFile, commit: s.commit, began: time.Now()}
	err = r.run(ctx, s.steps(), keepGoing, os.Stdout)
	if path, e := filepath.Abs(reportFile); e == nil {
		fmt.Printf("\n%s\n", path)
	}
	return err
}

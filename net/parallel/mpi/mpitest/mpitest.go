// Package mpitest finds the launchers of MPI that tests start processes with.
package mpitest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// OtherLaunchers names the environment variable with launchers in place of this machine's:
// command lines with semicolons between them.
const OtherLaunchers = "GPUTRAIN_TEST_LAUNCHERS"

// Launchers returns the launchers' command lines: those of Open MPI and MPICH, with what each
// needs to start more processes than there are processors, or those of OtherLaunchers.
func Launchers() [][]string {
	if own := os.Getenv(OtherLaunchers); own != "" {
		var all [][]string
		for _, line := range strings.Split(own, ";") {
			all = append(all, strings.Fields(line))
		}
		return all
	}
	return [][]string{{"mpirun.openmpi", "--allow-run-as-root", "--oversubscribe"}, {"mpirun.mpich"}}
}

// Each runs a test with each launcher that is here, and skips the others. With
// GPUTRAIN_TEST_MPI in the environment it fails for those.
func Each(t *testing.T, f func(t *testing.T, launcher []string)) {
	if testing.Short() {
		t.Skip("it starts processes, which -short leaves to the long run")
	}
	for _, l := range Launchers() {
		t.Run(Name(l), func(t *testing.T) {
			if _, err := exec.LookPath(l[0]); err != nil {
				if os.Getenv("GPUTRAIN_TEST_MPI") != "" {
					t.Fatal(err)
				}
				t.Skipf("this machine has no such launcher (make check-mpi installs it): %v", err)
			}
			f(t, l)
		})
	}
}

// Name returns a short name of a launcher.
func Name(launcher []string) string {
	for _, word := range launcher {
		if base := filepath.Base(word); strings.HasPrefix(base, "mpi") {
			return base
		}
	}
	return launcher[0]
}

package main

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

//go:embed descriptors/descriptors.cpp
var descriptorsSource string

//go:embed descriptors/known-differences.txt
var descriptorDifferences string

// descriptorLibrary matches those of cuDNN's libraries that hold descriptors. The others hold kernels, about a
// gigabyte.
var descriptorLibrary = regexp.MustCompile(`^libcudnn(_(graph|ops|cnn|ops_infer|ops_train|cnn_infer|cnn_train))?\.so\.`)

// The version of cuDNN that the simulator stands for, and the versions that are compared with it.
const reference = "cudnn-9.28"

var compared = []string{"cudnn-8.9", "simulator"}

func checkDescriptors() error {
	store, err := openCache()
	if err != nil {
		return err
	}
	all, err := parseParts(partsText)
	if err != nil {
		return err
	}
	known, err := parseDifferences(descriptorDifferences)
	if err != nil {
		return err
	}
	program, clean, err := buildDescriptors()
	if err != nil {
		return err
	}
	defer clean()
	want, err := askLibrary(program, store, all, reference)
	if err != nil {
		return fmt.Errorf("%s: nothing to compare with: %w", reference, err)
	}
	fmt.Printf("%s: %d answers, without a GPU\n", reference, len(want.answers))
	var failed error
	for _, part := range compared {
		got, err := askLibrary(program, store, all, part)
		if err != nil {
			fmt.Printf("%s was NOT CHECKED: %v\n", part, err)
			if part == "simulator" { // it is ours, so it must be there
				failed = err
			}
			continue
		}
		base := want
		if part == "simulator" {
			got, base = got.withoutReasons(), want.withoutReasons()
		}
		found := got.differences(base, part)
		complaints := unexplained(found, known, []string{part}, reference, base.answers)
		fmt.Printf("%s: %d answers, %d differ, %d unexplained\n", part, len(got.answers), len(found), len(complaints))
		if len(complaints) > 0 {
			fmt.Println("  " + strings.Join(complaints, "\n  "))
			failed = errors.New("descriptors are not those of " + reference)
		}
	}
	return failed
}

// buildDescriptors compiles the program that asks a library. The caller must call clean.
func buildDescriptors() (program string, clean func(), err error) {
	folder, err := os.MkdirTemp("", "descriptors")
	if err != nil {
		return "", nil, err
	}
	program = filepath.Join(folder, "descriptors")
	own := probe{cxx(), []string{"-I", filepath.Join(driver, "include")}}
	if _, err := own.compile([]byte(descriptorsSource), []string{"-o", program}, "-"); err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(folder))
	}
	return program, func() { os.RemoveAll(folder) }, nil
}

// A transcript holds a library's answers, and the questions in their order.
type transcript struct {
	questions []string
	answers   map[string]string
}

func askLibrary(program string, store cache, all parts, part string) (transcript, error) {
	library, err := findLibrary(store, all, part)
	if err != nil {
		return transcript{}, err
	}
	out, err := exec.Command(program, library).Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return transcript{}, fmt.Errorf("%w: %s", err, firstLines(string(exit.Stderr), 5))
	} else if err != nil {
		return transcript{}, err
	}
	return readTranscript(string(out)), nil
}

func readTranscript(out string) transcript {
	t := transcript{answers: map[string]string{}}
	for _, line := range strings.Split(strings.TrimSuffix(out, "\n"), "\n") {
		question, answer, _ := strings.Cut(line, "\t")
		if _, asked := t.answers[question]; !asked {
			t.questions = append(t.questions, question)
		}
		t.answers[question] = answer
	}
	return t
}

// withoutReasons replaces all answers that aren't a success by the same one. For the simulator we compare only whether
// a library refuses, not which status it returns.
func (t transcript) withoutReasons() transcript {
	plain := transcript{t.questions, map[string]string{}}
	for question, answer := range t.answers {
		if !strings.HasPrefix(question, "statusName ") && !strings.HasPrefix(answer, "SUCCESS") {
			answer = "refused"
		}
		plain.answers[question] = answer
	}
	return plain
}

// findLibrary returns the path of libcudnn. That library finds its companions beside itself.
func findLibrary(store cache, all parts, part string) (string, error) {
	folder := filepath.Join(simulator, "build")
	if part != "simulator" {
		folders, err := store.fetch(all, part, "lib")
		if err != nil {
			return "", err
		}
		folder = folders[0]
	}
	found, err := filepath.Glob(filepath.Join(folder, "libcudnn.so.*"))
	if err != nil {
		return "", err
	}
	if len(found) != 1 {
		return "", fmt.Errorf("want one libcudnn.so in %s, have %q", folder, found)
	}
	return filepath.Abs(found[0])
}

// differences returns the questions to which the libraries answer differently. The statuses of versions 8 and 9 have
// different numbers by design, so their names are compared only within a version.
func (t transcript) differences(want transcript, part string) []difference {
	var found []difference
	for _, question := range want.questions {
		if strings.HasPrefix(question, "statusName ") && part == "cudnn-8.9" {
			continue
		}
		if answer, answered := t.answers[question]; !answered {
			found = append(found, difference{part, question, "missing"})
		} else if answer != want.answers[question] {
			found = append(found, difference{part, question, answer})
		}
	}
	for _, question := range t.questions {
		if _, asked := want.answers[question]; !asked {
			found = append(found, difference{part, question, t.answers[question]})
		}
	}
	return found
}

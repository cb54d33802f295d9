package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// ends is a step that ends as it is told to.
func ends(name, result string, err error) step {
	return step{name, "nothing", time.Minute, func(context.Context, *transcript) (string, error) { return result, err }}
}

// runSteps runs steps and returns the report's text.
func runSteps(t *testing.T, ctx context.Context, keepGoing bool, steps ...step) (text string, err error) {
	t.Helper()
	r := &report{file: filepath.Join(t.TempDir(), "gpu-report.txt"), commit: "abc", began: time.Now()}
	err = r.run(ctx, steps, keepGoing, io.Discard)
	all, e := os.ReadFile(r.file)
	if e != nil {
		t.Fatal(e)
	}
	left, e := os.ReadDir(filepath.Dir(r.file))
	if e != nil || len(left) != 1 {
		t.Errorf("beside the report lie %v, %v", left, e)
	}
	return string(all), err
}

func TestReport(t *testing.T) {
	good, bad := ends("good", "fine", nil), ends("bad", "", errors.New("two\nlines"))
	missing := ends("missing", "", notRun("no such tool"))
	slow := step{"slow", "nothing", time.Millisecond, func(ctx context.Context, _ *transcript) (string, error) {
		<-ctx.Done()
		return "", ctx.Err()
	}}
	over, cancel := context.WithTimeout(context.Background(), 0)
	defer cancel()
	stopped, stop := context.WithCancel(context.Background())
	stop()
	background := context.Background()
	for name, c := range map[string]struct {
		ctx       context.Context
		keepGoing bool
		steps     []step
		first     string // line, after the title
		want      []string
		pass      bool
	}{
		"all":         {background, false, []step{good, good}, "PASSED: 2 of 2 steps passed", []string{"1 good  passed", "fine"}, true},
		"missing":     {background, false, []step{good, missing}, "PASSED: 1 of 2 steps passed, 1 not run", []string{"not run", "no such tool"}, true},
		"nothing ran": {background, false, []step{missing}, "INCOMPLETE: 0 of 1 steps passed, 1 not run", nil, false},
		"stops": {background, false, []step{good, bad, good}, "FAILED: 1 of 3 steps passed, 1 failed, 1 not run",
			[]string{"2 bad   FAILED", "two; lines", "a step before it failed"}, false},
		"goes on":     {background, true, []step{bad, good}, "FAILED: 1 of 2 steps passed, 1 failed", nil, false},
		"slow":        {background, false, []step{slow}, "FAILED: 0 of 1 steps passed, 1 failed", []string{"took more than 1ms"}, false},
		"no time":     {over, false, []step{good}, "INCOMPLETE: 0 of 1 steps passed, 1 not run", []string{"no time was left"}, false},
		"interrupted": {stopped, false, []step{good}, "INCOMPLETE: 0 of 1 steps passed, 1 not run", []string{"interrupted"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := runSteps(t, c.ctx, c.keepGoing, c.steps...)
			if first, _, _ := strings.Cut(text, "\n"); first != "gputrain on a GPU. "+c.first {
				t.Errorf("the first line is %q", first)
			}
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("the report lacks %q:\n%s", want, text)
				}
			}
			if (err == nil) != c.pass {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

// TestReportIsWrittenOnTheWay kills nothing, but reads the file that a killed run would leave.
func TestReportIsWrittenOnTheWay(t *testing.T) {
	r := &report{file: filepath.Join(t.TempDir(), "gpu-report.txt"), commit: "abc", began: time.Now()}
	reads := step{"reads", "nothing", time.Minute, func(_ context.Context, s *transcript) (string, error) {
		text, err := os.ReadFile(r.file)
		if !strings.Contains(string(text), "INCOMPLETE: 1 of 2") || !strings.Contains(string(text), "1 steps are not in this file yet") {
			t.Errorf("in mid-run the file says:\n%s", text)
		}
		return "", err
	}}
	if err := r.run(context.Background(), []step{ends("first", "", nil), reads}, false, io.Discard); err != nil {
		t.Error(err)
	}
}

func TestTranscript(t *testing.T) {
	t.Setenv("GPUTRAIN_EPOCHS", "7")
	t.Setenv("GPUTRAIN_CUDA_LIBS", "/libs")
	s := &transcript{}
	sh := func(script string) command {
		return command{args: []string{"sh", "-c", script}, env: []string{"MORE=1"}}
	}
	out, err := s.run(context.Background(), sh(`echo "$GPUTRAIN_EPOCHS.$GPUTRAIN_CUDA_LIBS.$MORE"; exit 3`))
	if out != "./libs.1\n" {
		t.Errorf("a command's environment gives %q", out)
	}
	if err == nil || !strings.Contains(err.Error(), "exit status 3: ./libs.1") {
		t.Errorf("the error is %v", err)
	}
	if text := s.text.String(); !strings.Contains(text, "MORE=1") || !strings.Contains(text, "\n./libs.1\n") || !strings.Contains(text, "exit status 3") {
		t.Errorf("the transcript is %q", text)
	}
	long := "begin\n" + strings.Repeat("x", 2*longest) + "end"
	if short := shortened(long, nil); len(short) > longest+100 || !strings.HasPrefix(short, "begin\n") || !strings.HasSuffix(short, "end\n") {
		t.Errorf("%d bytes of %d are left", len(short), len(long))
	}
	if kept := shortened("=== RUN\nok\n", func(line string) bool { return line[0] != '=' }); kept != "ok\n" {
		t.Errorf("kept %q", kept)
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/cuda/driver"
)

// The exit statuses.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// app is one run of the command line.
type app struct {
	args     []string
	allHelp  bool // --help --all: the help shows every flag, and all texts
	in       io.Reader
	out, err *stream // texts for people; out is standard output, unless a file is written there
	stdout   *stream
	closers  []func() error // closers of data sets, which stay open until the command ends
}

// run runs the command line and returns its exit status. It writes an error to
// stderr in one line. Cancelling ctx interrupts the command.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	unsetEmpty(os.Environ())
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	args, all := wantsAllHelp(args)
	a := &app{args: args, allHelp: all, in: stdin, stdout: newStream(stdout, cancel), err: newStream(stderr, nil)}
	a.out = a.stdout
	root := a.root()
	if args[len(args)-1] != completionFlag {
		a.noteVariables(os.Environ(), root.Commands)
	}
	err := root.RunContext(ctx, interspersed(root, args))
	for _, close := range a.closers {
		err = errors.Join(err, close())
	}
	switch {
	case a.stdout.failed == nil:
	case errors.Is(a.stdout.failed, syscall.EPIPE):
		return exitFailed // the reader has gone, so nobody would see an error
	default:
		err = fmt.Errorf("cannot write the output: %w", a.stdout.failed)
	}
	if err == nil {
		return exitOK
	}
	if !errors.Is(err, errSilent) {
		fmt.Fprintf(newStream(stderr, nil), "gputrain: %s\n", oneLine(err.Error()))
	}
	var usage *usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

// oneLine puts a text on one line.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(strings.TrimSpace(s), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

// root describes the commands.
func (a *app) root() *cli.App {
	// cli keeps these for the whole process. They don't depend on the run.
	cli.HelpPrinter = printHelp
	cli.HelpFlag.(*cli.BoolFlag).Usage = "show this help"
	cli.VersionFlag = &cli.BoolFlag{Name: "version", Usage: "show the version", DisableDefaultText: true}
	cli.VersionPrinter = func(c *cli.Context) { fmt.Fprintf(c.App.Writer, "gputrain %s\n", c.App.Version) }

	root := &cli.App{
		Name:      "gputrain",
		HelpName:  "gputrain",
		Usage:     "train convolutional networks",
		UsageText: "gputrain COMMAND [FLAGS] [ARGUMENTS]",
		Version:   version(),
		Description: `Start with:
  gputrain train                     # the tutorial's network on MNIST
  gputrain eval                      # test it
  gputrain predict seven.png test:7  # ask it about a file and a test image

gputrain COMMAND --help shows a command's flags, with --all all of them.
Every flag can be set in the environment: --learning-rate is
GPUTRAIN_LEARNING_RATE. NO_COLOR turns colours off.
The exit status is 0, 1 if something failed or was interrupted, or 2 for a
command line that makes no sense.`,
		Commands: []*cli.Command{
			a.trainCommand(), a.findRateCommand(), a.evalCommand(), a.predictCommand(), a.reportCommand(), a.recipesCommand(), a.modelsCommand(), a.dataCommand(),
			a.serveCommand(), a.exportCommand(), a.importCommand(),
			a.verifyCommand(), a.benchCommand(), a.devicesCommand(), a.completionCommand(), helpCommand(),
		},
		HideHelpCommand:      true,
		Action:               func(c *cli.Context) error { return chooseCommand(c, cli.ShowAppHelp) },
		Reader:               a.in,
		Writer:               a.out,
		ErrWriter:            a.err,
		ExitErrHandler:       func(*cli.Context, error) {}, // run reports errors
		OnUsageError:         a.flagError,
		EnableBashCompletion: true,
		BashComplete:         a.complete,
	}
	root.Flags = []cli.Flag{cli.HelpFlag}
	a.finish("", root.Commands)
	return root
}

// finish sets what all commands have in common.
func (a *app) finish(parent string, commands []*cli.Command) {
	for _, c := range commands {
		c.HelpName = parent + c.Name // otherwise cli would put the app's name before it
		c.HideHelpCommand = true
		if flagNamed(c.Flags, "data") != nil {
			trained := flagNamed(c.Flags, "checkpoint") != nil // its run remembers how pictures are prepared
			for _, f := range pictureFlags() {
				if !trained || !slices.Contains([]string{"image-size", "resize", "channels"}, f.Names()[0]) {
					c.Flags = append(c.Flags, f)
				}
			}
		}
		if !a.allHelp {
			c.Flags = firstOfAll(c.Name, c.Flags)
		}
		// cli would add this flag too, but only when a command runs.
		c.Flags = append(c.Flags, cli.HelpFlag)
		c.OnUsageError = a.flagError
		c.BashComplete = a.complete
		a.finish("gputrain "+c.HelpName+" ", c.Subcommands)
	}
}

// version returns the version of this program, and what built it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	if v == "" || v == "(devel)" {
		v = "devel"
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v += " " + s.Value[:min(12, len(s.Value))]
			}
		}
	}
	cuda := "without CUDA"
	if driver.Built {
		cuda = "with CUDA"
	}
	return fmt.Sprintf("%s (%s, %s/%s, %s)", v, info.GoVersion, runtime.GOOS, runtime.GOARCH, cuda)
}

// unsetEmpty unsets our environment variables that are empty. Scripts and
// containers set them so when they pass on what they don't have, and cli takes
// an empty text for a value.
func unsetEmpty(environ []string) {
	for _, entry := range environ {
		if name, value, _ := strings.Cut(entry, "="); value == "" && strings.HasPrefix(name, envPrefix) {
			_ = os.Unsetenv(name) // fails only for names that no environment has
		}
	}
}

const envPrefix = "GPUTRAIN_"

// env returns the name of a flag's environment variable.
func env(flag string) []string {
	return []string{envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))}
}

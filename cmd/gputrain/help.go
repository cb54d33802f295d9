package main

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

const helpWidth = 80

// printHelp prints the help of the app or of a command. cli has templates for that, but
// a template can't decide the order of flags or line breaks.
func printHelp(w io.Writer, _ string, data any) {
	c, ok := data.(*cli.Command)
	if app, isApp := data.(*cli.App); isApp {
		c = &cli.Command{HelpName: app.HelpName, Usage: app.Usage, UsageText: app.UsageText, Description: app.Description, Subcommands: app.Commands, Flags: app.Flags}
	} else if !ok {
		panic(fmt.Sprintf("BUG: help of a %T", data))
	}
	fmt.Fprintf(w, "%s - %s\n\nUsage:\n", c.HelpName, c.Usage)
	fmt.Fprintf(w, "  %s\n\n%s\n", strings.ReplaceAll(c.UsageText, "\n", "\n  "), c.Description)
	if len(c.Subcommands) > 0 {
		fmt.Fprintln(w, "\nCommands:")
		t := table{align: "ll"}
		for _, sub := range c.Subcommands {
			t.add("  "+sub.Name, sub.Usage)
		}
		t.write(w)
	}
	visible := slices.DeleteFunc(slices.Clone(c.Flags), isHidden)
	for _, category := range categories(visible) {
		name := category
		if name == "" {
			name = "Flags"
		}
		fmt.Fprintf(w, "\n%s:\n", name)
		t := table{align: "ll"}
		for _, f := range visible {
			if categoryOf(f) != category {
				continue
			}
			left, usage := flagHelp(f)
			for i, line := range wrapped(usage, helpWidth-28) {
				if i > 0 {
					left = ""
				}
				t.add(fmt.Sprintf("  %-22s", left), line)
			}
		}
		t.write(w)
	}
	if n := len(c.Flags) - len(visible); n > 0 {
		fmt.Fprintf(w, "\n%d more flags: %s --help --all\n", n, c.HelpName)
	}
}

// firstFlags lists the most important flags of commands with many, in the order in
// which --help shows them. --help --all shows the others too.
var firstFlags = map[string][]string{
	"train":     {"data", "model", "recipe", "epochs", "batch", "learning-rate", "augment", "patience", "limit", "run", "resume", "from", "head", "freeze", "device"},
	"find-rate": {"data", "model", "recipe", "optimizer", "batch", "augment", "from", "to", "steps", "svg", "device"},
	"serve":     {"run", "address", "token-file", "prepare", "log-level", "json", "device"},
	"bench":     {"model", "data", "mode", "batch", "infer-batch", "to-accuracy", "recipe", "runs", "scaling", "device", "threads", "peers", "html", "json"},
}

// lastFlags lists the flags that are shown only by --help --all in the help of every
// other command.
var lastFlags = []string{"precision", "deterministic", "memory-limit", "workspace", "algorithm-cache", "data-cache"}

// firstOfAll hides all flags except the first ones, and puts these before the others.
func firstOfAll(command string, flags []cli.Flag) []cli.Flag {
	first, chosen := firstFlags[command]
	var shown, hidden []cli.Flag
	for _, name := range first {
		f := flagNamed(flags, name)
		reflect.ValueOf(f).Elem().FieldByName("Category").SetString("") // so few flags need no headings
		shown = append(shown, f)
	}
	for _, f := range flags {
		name := f.Names()[0]
		switch {
		case chosen && slices.Contains(first, name):
		case chosen, slices.Contains(lastFlags, name):
			reflect.ValueOf(f).Elem().FieldByName("Hidden").SetBool(true)
			hidden = append(hidden, f)
		default:
			shown = append(shown, f)
		}
	}
	return append(shown, hidden...)
}

func isHidden(f cli.Flag) bool {
	v, ok := f.(cli.VisibleFlag)
	return ok && !v.IsVisible()
}

// wantsAllHelp reports whether a command line asks for help with all flags. It returns
// the command line without --all, which is not a flag of any command.
func wantsAllHelp(args []string) ([]string, bool) {
	help := len(args) > 1 && args[1] == "help" || slices.ContainsFunc(args, func(word string) bool {
		return strings.HasPrefix(word, "-") && slices.Contains(cli.HelpFlag.Names(), strings.TrimLeft(word, "-"))
	})
	isAll := func(word string) bool { return word == "--all" || word == "-all" }
	if !help || !slices.ContainsFunc(args, isAll) {
		return args, false
	}
	return slices.DeleteFunc(slices.Clone(args), isAll), true
}

// further returns text if the help shows everything (--help --all), otherwise "".
func (a *app) further(text string) string {
	if a.allHelp {
		return text
	}
	return ""
}

// categoryOf returns the heading of a flag in the help.
func categoryOf(f cli.Flag) string {
	if c, ok := f.(cli.CategorizableFlag); ok {
		return c.GetCategory()
	}
	return ""
}

// categories returns the flags' categories in order. Flags without a category come
// last.
func categories(flags []cli.Flag) []string {
	var names []string
	for _, f := range flags {
		if c := categoryOf(f); c != "" && !slices.Contains(names, c) {
			names = append(names, c)
		}
	}
	return append(names, "")
}

// flagHelp returns a flag's name with the name of its value, and what the flag does. A
// word in back quotes in the flag's usage names the value.
func flagHelp(f cli.Flag) (left, usage string) {
	left = "--" + f.Names()[0]
	for _, alias := range f.Names()[1:] {
		left += ", " + strings.Repeat("-", min(len(alias), 2)) + alias
	}
	d := f.(cli.DocGenerationFlag)
	usage = d.GetUsage()
	if !d.TakesValue() {
		return left, usage
	}
	if before, rest, ok := strings.Cut(usage, "`"); ok {
		value, after, _ := strings.Cut(rest, "`")
		left += " " + value
		usage = strings.TrimPrefix(before+value+after, value+": ")
	}
	if text := strings.Trim(d.GetDefaultText(), `"`); text != "" && text != recipesOwn {
		usage += " (default: " + text + ")"
	}
	return left, usage
}

// wrapped breaks a text at spaces into lines of at most width characters.
func wrapped(text string, width int) []string {
	lines := []string{""}
	for _, word := range strings.Fields(text) {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case len(*last)+1+len(word) <= width:
			*last += " " + word
		default:
			lines = append(lines, word)
		}
	}
	return lines
}

// helpCommand returns the command "gputrain help COMMAND", which does the same as
// "gputrain COMMAND --help".
func helpCommand() *cli.Command {
	return &cli.Command{
		Name:      "help",
		Usage:     "show the help of a command",
		UsageText: "gputrain help [COMMAND] [--all]",
		Description: `The same as gputrain COMMAND --help. --all shows every flag.

Examples:
  gputrain help
  gputrain help train
  gputrain help models show`,
		Action: func(c *cli.Context) error {
			if !c.Args().Present() {
				return cli.ShowAppHelp(c)
			}
			commands, command := c.App.Commands, (*cli.Command)(nil)
			for _, word := range c.Args().Slice() {
				i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.Name == word })
				if i < 0 {
					return unknownCommand(word, commands, "gputrain")
				}
				command, commands = commands[i], commands[i].Subcommands
			}
			cli.HelpPrinter(c.App.Writer, "", command)
			return nil
		},
	}
}

package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/xrash/smetrics"
)

// usageError is an error in the command line. The exit status is 2.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, a ...any) error { return &usageError{fmt.Sprintf(format, a...)} }

// helpHint tells how to get the help of a command.
func helpHint(c *cli.Context) string { return fmt.Sprintf("see %s --help", c.Command.HelpName) }

// chooseCommand is the action of commands that only have subcommands. It shows the
// help, or returns an error for a word that is not a subcommand.
func chooseCommand(c *cli.Context, help func(*cli.Context) error) error {
	word := c.Args().First()
	if word == "" {
		return help(c)
	}
	return chooseAmong(c, word)
}

// chooseAmong returns the error for a word that is not a subcommand.
func chooseAmong(c *cli.Context, word string) error {
	return unknownCommand(word, c.Command.Subcommands, c.Command.HelpName)
}

// unknownCommand returns the error for a word that is not a command.
func unknownCommand(word string, commands []*cli.Command, parent string) error {
	var names []string
	for _, c := range commands {
		names = append(names, c.Name)
	}
	meant := suggest(word, names)
	if meant == "" && slices.Contains(names, "show") {
		meant = fmt.Sprintf(" (did you mean %s show %s?)", parent, word)
	}
	for _, f := range foreignCommands {
		if f.parent == parent && slices.Contains(strings.Fields(f.names), strings.ToLower(word)) {
			meant = fmt.Sprintf(" (did you mean %s?)", f.use)
		}
	}
	return usagef("unknown command %q%s; see %s --help", word, meant, parent)
}

// noArguments returns an error if there are arguments after the flags.
func noArguments(c *cli.Context) error {
	word := c.Args().First()
	switch {
	case !c.Args().Present():
		return nil
	case isDataSet(word) && dataHint(c, word) != "":
		return usagef("%s takes no arguments, but %s looks like a data set%s; %s", c.Command.Name, word, dataHint(c, word), helpHint(c))
	}
	return usagef("%s takes no arguments, got %q; %s", c.Command.Name, word, helpHint(c))
}

// suggest returns " (did you mean X?)" for the candidate that is most similar to
// the word. It returns "" if none is similar.
func suggest(word string, candidates []string) string {
	// A word of one or two letters resembles too many.
	best, least := "", min(len(word)/3+2, len(strings.TrimLeft(word, "-")))
	for _, c := range candidates {
		if d := smetrics.WagnerFischer(word, c, 1, 1, 1); d < least {
			best, least = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %s?)", best)
}

// choose returns an error if a flag's value is not one of the choices.
func choose(flag, value string, choices []string) error {
	if slices.Contains(choices, value) {
		return nil
	}
	return usagef("--%s: unknown %q%s; want %s", flag, value, suggest(value, choices), orList(choices))
}

// orList joins words, for example to "a, b or c".
func orList(words []string) string {
	n := len(words)
	if n == 1 {
		return words[0]
	}
	return strings.Join(words[:n-1], ", ") + " or " + words[n-1]
}

// The errors of package flag and cli for flags that they can't read.
var (
	undefinedFlag = regexp.MustCompile(`^flag provided but not defined: -(.*)$`)
	missingValue  = regexp.MustCompile(`^flag needs an argument: -(.*)$`)
	badValue      = regexp.MustCompile(`^invalid (?:boolean )?value "(.*)" for (?:flag )?-([^:]*): `)
	sameTwice     = regexp.MustCompile(`^Cannot use two forms of the same flag: (\S+) (\S+)$`)
	badVariable   = regexp.MustCompile(`^could not parse "(.*)" as .* value from environment variable "(.*)" for flag ([^:]*): `)
)

// flagError tells in our words what is wrong with a flag.
func (a *app) flagError(c *cli.Context, err error, _ bool) error {
	text := err.Error()
	if m := undefinedFlag.FindStringSubmatch(text); m != nil {
		if depth := len(strings.Fields(c.Command.HelpName)); len(c.Command.Subcommands) > 0 && depth < len(a.args) && !strings.HasPrefix(a.args[depth], "-") {
			return chooseAmong(c, a.args[depth]) // the flag is for a command that isn't known
		}
		word := a.typed(m[1])
		if use := a.instead(c, word); use != "" {
			return usagef("unknown flag %s: %s; %s", word, use, helpHint(c))
		}
		var names []string
		for _, f := range c.Command.Flags {
			for _, name := range f.Names() {
				if len(name) > 1 {
					names = append(names, "--"+name)
				}
			}
		}
		return usagef("unknown flag %s%s; %s", word, suggest(word, names), helpHint(c))
	}
	if m := missingValue.FindStringSubmatch(text); m != nil {
		return usagef("--%s needs a value; %s", m[1], helpHint(c))
	}
	if m := badValue.FindStringSubmatch(text); m != nil {
		return usagef("--%s: %q is not %s", m[2], m[1], wanted(c, m[2]))
	}
	if m := sameTwice.FindStringSubmatch(text); m != nil {
		names := []string{"--" + m[1], "--" + m[2]}
		slices.Sort(names)
		return usagef("%s are one flag: leave one of them out", strings.Join(names, " and "))
	}
	if m := badVariable.FindStringSubmatch(text); m != nil {
		return usagef("environment variable %s: %q is not %s", m[2], m[1], wanted(c, m[3]))
	}
	return usagef("%s; %s", text, helpHint(c))
}

// typed returns a flag as it was typed, because cli doesn't tell the number of
// dashes.
func (a *app) typed(name string) string {
	for _, word := range a.args {
		flag, _, _ := strings.Cut(word, "=")
		if strings.HasPrefix(flag, "-") && strings.TrimLeft(flag, "-") == name {
			return flag
		}
	}
	return "--" + name
}

// given reports whether a flag is in the command line. A flag may also be set only
// by the environment.
func (a *app) given(c *cli.Context, name string) bool {
	names := flagNamed(c.Command.Flags, name).Names()
	for _, word := range a.args {
		if word == "--" {
			break
		}
		flag, _, _ := strings.Cut(word, "=")
		if strings.HasPrefix(flag, "-") && slices.Contains(names, strings.TrimLeft(flag, "-")) {
			return true
		}
	}
	return false
}

// wanted tells what a flag's value looks like.
func wanted(c *cli.Context, name string) string {
	switch flagNamed(c.Command.Flags, name).(type) {
	case *cli.BoolFlag:
		return "true or false"
	case *cli.IntFlag, *cli.Int64Flag:
		return "a whole number"
	case *cli.Uint64Flag:
		return "a whole number of at least 0"
	case *cli.Float64Flag:
		return "a number"
	case *cli.DurationFlag:
		return "a time such as 500ms or 2s"
	}
	return "a value that it takes"
}

// flagNamed returns the flag with the given name, or nil.
func flagNamed(flags []cli.Flag, name string) cli.Flag {
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

// takesValue reports whether a word such as "--epochs" is a flag whose value is
// the next word.
func takesValue(flags []cli.Flag, word string) bool {
	f, ok := flagNamed(flags, strings.TrimLeft(word, "-")).(cli.DocGenerationFlag)
	return ok && f.TakesValue()
}

// interspersed moves each command's flags before its arguments, so that flags may
// stand anywhere. Package flag would stop at the first argument. It drops arguments
// beside --help, because cli would take them for topics.
func interspersed(root *cli.App, args []string) []string {
	if len(args) == 0 || args[len(args)-1] == completionFlag {
		return args
	}
	out := []string{args[0]}
	commands, known := root.Commands, root.Flags
	var flags, words []string
	help := false
	for i := 1; i < len(args); i++ {
		word := args[i]
		if word == "--" {
			words = append(words, args[i+1:]...)
			break
		}
		if len(word) > 1 && word[0] == '-' {
			flags = append(flags, word)
			help = help || slices.Contains(cli.HelpFlag.Names(), strings.TrimLeft(word, "-"))
			if takesValue(known, word) && i+1 < len(args) {
				i++
				flags = append(flags, args[i])
			}
			continue
		}
		if k := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(word) }); k >= 0 && len(words) == 0 {
			out = append(append(out, flags...), word)
			commands, known, flags = commands[k].Subcommands, commands[k].Flags, nil
			continue
		}
		words = append(words, word)
	}
	if help && len(out) == 2 && out[1] == "help" {
		// help has a help text like every other command.
		if flags, help = nil, false; len(words) == 0 {
			words = []string{"help"}
		}
	}
	out = append(out, flags...)
	if len(words) > 0 && !help {
		out = append(append(out, "--"), words...)
	}
	return out
}

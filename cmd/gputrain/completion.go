package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/net"
)

// completionFlag, as the last word, asks for what may come next. The shell
// functions below add it.
const completionFlag = "--generate-bash-completion"

// The shell functions pass on the words before the cursor. They also pass the
// word at the cursor if it starts with a dash. The shell keeps the answers that
// fit. If the word at the cursor has no dash, a flag can't be the answer after a
// flag. bash splits --flag=value into three words, and wants only the value as
// an answer.
var completionScripts = map[string]string{
	"bash": `_gputrain() {
    local IFS=$'\n' words=() word cur value=
    for word in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
        local last=$((${#words[@]} - 1))
        if [[ $last -ge 0 && ( $word == = && ${words[last]} == --* || ${words[last]} == --*= ) ]]; then
            words[last]+=$word
        else
            words+=("$word")
        fi
    done
    cur="${words[${#words[@]} - 1]}"
    [[ $cur == -* ]] || unset "words[${#words[@]} - 1]"
    [[ $cur == --*=* && ${COMP_WORDS[COMP_CWORD]} != --* ]] && value="${cur%%=*}="
    local answers="$("${words[@]}" --generate-bash-completion 2>/dev/null)"
    [[ $cur == -* ]] || answers="$(grep -v '^-' <<<"$answers")"
    COMPREPLY=($(compgen -W "$answers" -- "$cur"))
    COMPREPLY=("${COMPREPLY[@]#"$value"}")
}
complete -o bashdefault -o default -F _gputrain gputrain
`,
	"zsh": `#compdef gputrain
_gputrain() {
    local cur="${words[CURRENT]}"
    local -a before=("${(@)words[1,CURRENT-1]}") answers
    [[ $cur == -* ]] && before+=("$cur")
    answers=("${(@f)$("${before[@]}" --generate-bash-completion 2>/dev/null)}")
    [[ $cur == -* ]] || answers=("${(@)answers:#-*}")
    [[ -n "${answers[1]}" ]] && compadd -- "${answers[@]}"
    [[ $cur == -* ]] || _files
}
compdef _gputrain gputrain
`,
	"fish": `function __gputrain_complete
    set -l words (commandline -opc)
    set -l cur (commandline -ct)
    if string match -q -- '-*' "$cur"
        $words $cur --generate-bash-completion 2>/dev/null
    else
        $words --generate-bash-completion 2>/dev/null | string match -v -- '-*'
    end
end
complete -c gputrain -a '(__gputrain_complete)'
`,
}

var shells = []string{"bash", "zsh", "fish"}

func (a *app) completionCommand() *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print a script for completion in your shell",
		UsageText: "gputrain completion bash|zsh|fish",
		Description: `Examples:
  echo 'source <(gputrain completion bash)' >> ~/.bashrc
  echo 'source <(gputrain completion zsh)' >> ~/.zshrc   # below compinit
  gputrain completion fish > ~/.config/fish/completions/gputrain.fish`,
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usagef("completion takes one argument, the shell: %s", orList(shells))
			}
			script, ok := completionScripts[c.Args().First()]
			if !ok {
				return usagef("completion: unknown shell %q (want %s)", c.Args().First(), orList(shells))
			}
			fmt.Fprint(a.out, script)
			return nil
		},
	}
}

// complete prints the words that may come next: the choices of a flag that waits
// for its value, the flags if the last word starts with a dash, otherwise the
// command's arguments or subcommands.
func (a *app) complete(c *cli.Context) {
	last := a.args[len(a.args)-2]
	flag, _, hasValue := strings.Cut(last, "=")
	answers := nextWords(c)
	switch choices := flagChoices()[strings.TrimLeft(flag, "-")]; {
	case !strings.HasPrefix(last, "-"):
	case hasValue:
		answers = nil
		for _, choice := range choices {
			answers = append(answers, flag+"="+choice)
		}
	default:
		if takesValue(c.Command.Flags, flag) {
			answers = choices
		}
		for _, f := range c.Command.Flags {
			name := "--" + f.Names()[0]
			if strings.HasPrefix(name, last) || strings.HasPrefix(last, name) && name != last {
				answers = append(answers, name)
			}
		}
	}
	for _, answer := range answers {
		fmt.Fprintln(a.out, answer)
	}
}

// nextWords returns the words that may follow a command and its arguments:
// subcommands, models, runs, shells, or for help commands.
func nextWords(c *cli.Context) []string {
	commands := c.Command.Subcommands
	switch {
	case c.Command.Name == "help":
		commands = c.App.Commands
		for _, word := range c.Args().Slice() {
			i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.Name == word })
			if i < 0 {
				return nil
			}
			commands = commands[i].Subcommands
		}
	case c.Command.Name == "report":
		return runNames()
	case c.NArg() > 0:
		return nil
	case slices.Contains([]string{"eval", "serve", "export"}, c.Command.Name), c.Command.Name == "train" && c.Bool("resume"):
		return runNames()
	case strings.HasSuffix(c.Command.HelpName, "recipes show"):
		return recipeNames()
	case c.Command.Name == "show":
		return flagChoices()["model"]
	case c.Command.Name == "completion":
		return shells
	}
	var names []string
	for _, sub := range commands {
		if !sub.Hidden {
			names = append(names, sub.Name)
		}
	}
	return names
}

// runNames returns the names of the runs in runsFolder that have a checkpoint.
func runNames() []string {
	var names []string
	for _, path := range trainedRuns(runsFolder) {
		names = append(names, filepath.Base(path))
	}
	return names
}

// flagChoices returns the choices of the flags that have a fixed set of them.
func flagChoices() map[string][]string {
	var models []string
	for _, n := range net.Models() {
		models = append(models, n.Name)
	}
	runs := runNames()
	return map[string][]string{
		"run": runs, "checkpoint": runs, "from": runs, "weights": runs,
		"class-weights": {balanced, noChange}, "head": {autoHead, keepHead},
		"device": deviceNames, "optimizer": optimizerNames, "schedule": scheduleNames, "watch": watchNames,
		"split": splitNames, "views": viewNames, "resize": {"crop", "fit", "stretch"}, "augment": augmentNames(), "prepare": preparations(), "log-level": logLevels, "precision": precisionNames, "recipe": recipeNames(), "model": models,
		"format": exportFormats, "link": linkNames(), "network": machineNetworkNames(),
	}
}

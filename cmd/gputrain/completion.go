package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/net"
)

// completionFlag, as the last word, asks for what may come next. The shell
// functions below add it.
const completionFlag = "--generate-bash-completion"

// The shell functions pass on the words before the cursor, and the word at the
// cursor if it starts with a dash; the shell keeps the answers that fit. Where
// the word at the cursor has no dash, a flag is no answer to the flag before it.
var completionScripts = map[string]string{
	"bash": `_gputrain() {
    local IFS=$'\n' cur="${COMP_WORDS[COMP_CWORD]}"
    local words=("${COMP_WORDS[@]:0:COMP_CWORD}")
    [[ $cur == -* ]] && words+=("$cur")
    local answers="$("${words[@]}" --generate-bash-completion 2>/dev/null)"
    [[ $cur == -* ]] || answers="$(grep -v '^-' <<<"$answers")"
    COMPREPLY=($(compgen -W "$answers" -- "$cur"))
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

func (a *app) completionCommand() *cli.Command {
	shells := []string{"bash", "zsh", "fish"}
	return &cli.Command{
		Name:      "completion",
		Usage:     "print a script that makes the shell complete words",
		UsageText: "gputrain completion bash|zsh|fish",
		Description: `Examples:
  bash:  echo 'source <(gputrain completion bash)' >> ~/.bashrc
  zsh:   echo 'source <(gputrain completion zsh)' >> ~/.zshrc   (after compinit)
  fish:  gputrain completion fish > ~/.config/fish/completions/gputrain.fish`,
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

// complete prints what may come next: the choices of a flag that waits for its
// value, flags if the last word starts with a dash, else subcommands, or the
// models that can be shown.
func (a *app) complete(c *cli.Context) {
	last := a.args[len(a.args)-2]
	if !strings.HasPrefix(last, "-") {
		if c.Command.Name == "show" && c.NArg() == 0 {
			for _, model := range flagChoices()["model"] {
				fmt.Fprintln(a.out, model)
			}
		}
		for _, sub := range c.Command.Subcommands {
			if c.NArg() == 0 && !sub.Hidden {
				fmt.Fprintln(a.out, sub.Name)
			}
		}
		return
	}
	for _, choice := range flagChoices()[strings.TrimLeft(last, "-")] {
		fmt.Fprintln(a.out, choice)
	}
	for _, f := range c.Command.Flags {
		if name := "--" + f.Names()[0]; strings.HasPrefix(name, last) || strings.HasPrefix(last, name) && name != last {
			fmt.Fprintln(a.out, name)
		}
	}
}

// flagChoices returns the values of the flags that have a few.
func flagChoices() map[string][]string {
	var models []string
	for _, n := range net.Models() {
		models = append(models, n.Name)
	}
	return map[string][]string{
		"device": deviceNames, "optimizer": optimizerNames, "schedule": scheduleNames, "watch": watchNames,
		"split": splitNames, "prepare": preparations, "recipe": recipeNames(), "model": models,
	}
}

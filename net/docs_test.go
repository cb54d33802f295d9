package net

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestDocumentedNetworks holds the tables of docs/networks.md to those of this
// package.
func TestDocumentedNetworks(t *testing.T) {
	const path = "../docs/networks.md"
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var kinds, functions strings.Builder
	kinds.WriteString("| type | what it is | inputs | fields |\n|---|---|---|---|\n")
	for _, k := range Kinds() {
		inputs := fmt.Sprint(k.Inputs[0])
		if k.Inputs[1] == 0 {
			inputs += " or more"
		}
		var fields []string
		for _, f := range reflect.VisibleFields(reflect.TypeOf(k.New()).Elem()) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name != "name" && name != "from" && name != "frozen" {
				fields = append(fields, "`"+name+"`")
			}
		}
		fmt.Fprintf(&kinds, "| `%s` | %s: %s | %s | %s |\n", k.Name, k.Title, k.Summary, inputs, strings.Join(fields, ", "))
	}
	functions.WriteString("| `func` | what it is | value |\n|---|---|---|\n")
	for _, f := range Functions() {
		value := "`" + f.Formula + "`"
		if p := f.Parameter; p.Name != "" {
			value += fmt.Sprintf("; `%s` from %v to %v, default %v", p.Name, p.Least, p.Most, p.Default)
		}
		fmt.Fprintf(&functions, "| `%s` | %s | %s |\n", f.Name, f.Title, value)
	}
	want := string(b)
	for _, table := range []struct{ name, text string }{{"kinds", kinds.String()}, {"functions", functions.String()}} {
		head, rest, ok := strings.Cut(want, "<!-- "+table.name+" -->\n")
		_, tail, ended := strings.Cut(rest, "<!-- end -->")
		if !ok || !ended {
			t.Fatalf("%s has no place for the table of %s", path, table.name)
		}
		want = head + "<!-- " + table.name + " -->\n" + table.text + "<!-- end -->" + tail
	}
	if want != string(b) {
		if !*update {
			t.Errorf("%s is not current: go test ./net -run DocumentedNetworks -update", path)
		} else if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i, block := range strings.Split(want, "```json\n")[1:] {
		text, _, _ := strings.Cut(block, "```")
		if _, err := ParseNetwork(strings.NewReader(text)); err != nil || !json.Valid([]byte(text)) {
			t.Errorf("%s: example %d: %v", path, i+1, err)
		}
	}
}

// TestDocumentedTraining holds docs/training.md to the settings that there are.
func TestDocumentedTraining(t *testing.T) {
	const path = "../docs/training.md"
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	fields := func(of any) (names []string) {
		for _, f := range reflect.VisibleFields(reflect.TypeOf(of)) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			names = append(names, name)
		}
		return names
	}
	for _, name := range fields(Augment{}) {
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("%s doesn't tell of the field %s", path, name)
		}
	}
	// Fields whose flags have other names, or which are one among several.
	other := map[string]string{"name": `"name": "my photos"`, "optimizer": `"optimizer": {`, "seed": "seed", "loss": "--label-smoothing", "balance": "--class-weights balanced"}
	for _, name := range append(fields(Recipe{}), fields(Criterion{})...) {
		flag := cmp.Or(other[name], "`--"+strings.ReplaceAll(name, "_", "-"))
		if !strings.Contains(text, flag) {
			t.Errorf("%s doesn't tell of %s", path, flag)
		}
	}
	for _, a := range Augmentations() {
		if !strings.Contains(text, "\n| `"+a.Name+"` | ") {
			t.Errorf("%s doesn't tell of --augment %s", path, a.Name)
		}
	}
	for _, m := range []ScheduleMethod{ConstantRate, StepRate, CosineRate, OneCycleRate, LinearRate, ExponentialRate} {
		if !strings.Contains(text, "\n| `"+strings.ReplaceAll(string(m), "_", "-")+"` | ") {
			t.Errorf("%s doesn't tell of --schedule %s", path, m)
		}
	}
	for _, m := range Methods() {
		if !strings.Contains(text, "\n| `"+string(m)+"` | ") {
			t.Errorf("%s doesn't tell of --optimizer %s", path, m)
		}
	}
	for _, name := range append(append(fields(Rule{}), fields(Group{})...), fields(Lookahead{})...) {
		if name != "steps" && name != "total" && !strings.Contains(text, "`"+name+"`") && !strings.Contains(text, "`--"+strings.ReplaceAll(name, "_", "-")) && !strings.Contains(text, "\""+name+"\":") {
			t.Errorf("%s doesn't tell of the field %s", path, name)
		}
	}
	for _, m := range Methods() {
		if !strings.Contains(text, "\n| `"+string(m)+"` | ") {
			t.Errorf("%s doesn't tell of --optimizer %s", path, m)
		}
	}
	for _, name := range append(append(fields(Rule{}), fields(Group{})...), fields(Lookahead{})...) {
		if name != "steps" && name != "total" && !strings.Contains(text, "`"+name+"`") && !strings.Contains(text, "`--"+strings.ReplaceAll(name, "_", "-")) && !strings.Contains(text, "\""+name+"\":") {
			t.Errorf("%s doesn't tell of the field %s", path, name)
		}
	}
	for i, block := range strings.Split(text, "```json\n")[1:] {
		example, _, _ := strings.Cut(block, "```")
		var err error
		if strings.Contains(example, "epochs") {
			_, err = ParseRecipe(strings.NewReader(example))
		} else {
			_, err = ParseAugment(strings.NewReader(example))
		}
		if err != nil {
			t.Errorf("%s: example %d: %v", path, i+1, err)
		}
	}
}

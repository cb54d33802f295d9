package net

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// A RecipeFile is a recipe as a file holds it: with the network and the data that it is
// for, and what it reaches on them.
type RecipeFile struct {
	Recipe
	About string `json:"about,omitempty"` // what it is for, in a few words
	// Model is the network that it was made for: a built-in model's name, or a file. A
	// file's path begins at the recipe's folder. "" leaves the choice to whoever trains.
	Model   string         `json:"model,omitempty"`
	Data    string         `json:"data,omitempty"`     // the data set that it was made for, such as "CIFAR-10"
	GetData string         `json:"get_data,omitempty"` // how to get that data set; "" for MNIST, which is built in
	Results []RecipeResult `json:"results,omitempty"`
}

// RecipeResult says what runs of a recipe reached.
type RecipeResult struct {
	Accuracy float64 `json:"accuracy"` // mean test accuracy after the last epoch, from 0 to 1
	Least    float64 `json:"least"`    // of the worst run
	Runs     int     `json:"runs"`     // with different seeds
	Seconds  float64 `json:"seconds"`  // mean, from the first step to the end of the last evaluation
	On       string  `json:"on"`       // the device
	Date     string  `json:"date"`     // of the runs, such as "2026-11-30"
}

func (r RecipeResult) check() error {
	_, err := time.Parse(time.DateOnly, r.Date)
	switch {
	case !(r.Accuracy > 0 && r.Accuracy <= 1):
		return fmt.Errorf("accuracy must be above 0 and at most 1, got %v", r.Accuracy)
	case !(r.Least > 0 && r.Least <= r.Accuracy):
		return fmt.Errorf("least must be above 0 and at most the accuracy, got %v", r.Least)
	case r.Runs < 1:
		return fmt.Errorf("runs must be at least 1, got %d", r.Runs)
	case r.Runs == 1 && r.Least != r.Accuracy:
		return fmt.Errorf("least of one run is its accuracy, %v, got %v", r.Accuracy, r.Least)
	case !(r.Seconds > 0):
		return fmt.Errorf("seconds must be above 0, got %v", r.Seconds)
	case strings.TrimSpace(r.On) == "":
		return errors.New("on, the device, is missing")
	case err != nil:
		return fmt.Errorf("date must be a day such as 2026-11-30, got %q", r.Date)
	}
	return nil
}

// checkGiven returns an error for a rule that lacks a setting which nobody wants to be 0. Whoever wrote the recipe's file
// forgot it.
func (o Optimizer) checkGiven() error {
	check := func(what string, r Rule) error {
		m, ok := methodsByName[r.Method]
		if !ok {
			return nil // a group without a rule, or a method that Check refuses
		}
		if r.LearningRate == 0 {
			return fmt.Errorf("recipe: %s needs a learning_rate above 0", what)
		}
		usual := r.Method.Usual(1)
		u := usual.lead()
		for _, c := range []struct {
			name      string
			is, usual float64
		}{{"beta2", r.Beta2, u.Beta2}, {"epsilon", r.Epsilon, u.Epsilon}, {"iterations", float64(r.Iterations), float64(u.Iterations)}} {
			if slices.Contains(m.settings, c.name) && c.is == 0 {
				return fmt.Errorf("recipe: %s needs %s, which for %s is usually %v", what, c.name, r.Method, c.usual)
			}
		}
		return nil
	}
	if err := check("optimizer", o.Rule); err != nil {
		return err
	}
	for _, g := range o.Groups {
		if err := check("the group "+g.Params, g.Rule); err != nil {
			return err
		}
	}
	return nil
}

//go:embed recipes
var recipeFiles embed.FS

// recipeNames lists the built-in recipes, the default one first.
var recipeNames = []string{"tutorial", "sprint", "fast", "mnist-best", "fashion", "cifar94", "cifar95", "cifar96", "photos"}

var builtInRecipes = sync.OnceValue(func() []RecipeFile {
	var all []RecipeFile
	for _, name := range recipeNames {
		b, err := recipeFiles.ReadFile(path.Join("recipes", name+".json"))
		if err != nil {
			panic("BUG: " + err.Error())
		}
		r, err := ParseRecipe(bytes.NewReader(b))
		if err != nil {
			panic(fmt.Sprintf("BUG: recipe %s: %v", name, err))
		}
		r.Name = name
		all = append(all, r)
	}
	return all
})

// Recipes returns the built-in recipes, the default one first. They are the files in the
// folder recipes.
func Recipes() []RecipeFile {
	all := append([]RecipeFile(nil), builtInRecipes()...)
	for i := range all {
		all[i] = all[i].clone()
	}
	return all
}

// clone returns a copy that shares no memory.
func (r RecipeFile) clone() (c RecipeFile) {
	b, err := json.Marshal(r)
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return c
}

// RecipeNamed returns the built-in recipe with this name, and whether there is one.
func RecipeNamed(name string) (RecipeFile, bool) {
	for _, r := range Recipes() {
		if r.Name == name {
			return r, true
		}
	}
	return RecipeFile{}, false
}

// ParseRecipe reads a recipe from JSON and checks it. The names of the fields are those of
// the tags of RecipeFile and Recipe. A field that is left out has its zero value. A file is
// refused if it forgets a learning rate or another setting that nobody wants to be 0, and if
// a text in it has characters that can't be shown.
func ParseRecipe(r io.Reader) (RecipeFile, error) {
	b, err := readJSON(r)
	if err != nil {
		return RecipeFile{}, fmt.Errorf("recipe: %w", err)
	}
	var out RecipeFile
	if err := strictUnmarshal(b, &out); err != nil {
		return RecipeFile{}, fmt.Errorf("recipe: %w", err)
	}
	if err := checkTexts(b); err != nil {
		return RecipeFile{}, fmt.Errorf("recipe: %w", err)
	}
	if err := out.Optimizer.checkGiven(); err != nil {
		return RecipeFile{}, err
	}
	if err := out.Check(); err != nil {
		return RecipeFile{}, err
	}
	for i, result := range out.Results {
		if err := result.check(); err != nil {
			return RecipeFile{}, fmt.Errorf("recipe: results[%d]: %w", i, err)
		}
	}
	if len(out.Optimizer.Groups) == 0 {
		out.Optimizer.Groups = nil // as a checkpoint has it, where "groups": [] leaves nothing
	}
	return out, nil
}

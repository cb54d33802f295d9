package testenv

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSeed(t *testing.T) {
	t.Setenv(SeedVariable, "")
	if a, b := Seed(t), Seed(t); a == b || a >= most || b >= most {
		t.Errorf("fresh seeds %d and %d", a, b)
	}
	if got := SeedOr(t, 5); got != 5 {
		t.Errorf("%d, not the seed given", got)
	}
	const seed = 1<<64 - 1
	t.Setenv(SeedVariable, "18446744073709551615")
	if a, b := Seed(t), SeedOr(t, 5); a != seed || b != seed {
		t.Errorf("%d and %d, not the environment's seed", a, b)
	}
	if a, b := Rand(t).Uint64(), Rand(t).Uint64(); a != b {
		t.Error("the same seed draws other numbers")
	}
}

// constructors are the functions of math/rand and math/rand/v2 that draw nothing.
var constructors = map[string]bool{"New": true, "NewPCG": true, "NewChaCha8": true, "NewSource": true, "NewZipf": true, "Rand": true, "Source": true, "PCG": true}

// TestRandomTestsTakeTheirSeedFromHere reads all tests of the module: none may draw from math/rand's own source, whose seed
// nobody knows, or read the variable by itself. Sources with a seed that stands in the test are data, the same in each run.
func TestRandomTestsTakeTheirSeedFromHere(t *testing.T) {
	root := filepath.Join("..", "..")
	seen, uses := 0, 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "runs" || name == "testenv") {
				return filepath.SkipDir
			}
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil && path != root {
				return filepath.SkipDir // another module
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		imports := map[string]bool{}
		for _, i := range file.Imports {
			imports[strings.Trim(i.Path.Value, `"`)] = true
		}
		if !imports["testing"] { // beside tests, what they have in packages of their own
			return nil
		}
		seen++
		random := imports["math/rand"] || imports["math/rand/v2"]
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				pkg, ok := n.X.(*ast.Ident)
				if ok && random && pkg.Name == "rand" && !constructors[n.Sel.Name] {
					t.Errorf("%s: rand.%s has a seed that nobody knows: take testenv.Rand(t)", set.Position(n.Pos()), n.Sel.Name)
				}
				if ok && pkg.Name == "testenv" {
					uses++
				}
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.SelectorExpr); ok && (f.Sel.Name == "Getenv" || f.Sel.Name == "LookupEnv") && len(n.Args) == 1 {
					if v, ok := n.Args[0].(*ast.BasicLit); ok && v.Value == `"`+SeedVariable+`"` {
						t.Errorf("%s: reads %s: take testenv.Seed(t)", set.Position(n.Pos()), SeedVariable)
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 100 || uses < 30 {
		t.Errorf("only %d files of tests seen, with %d uses of testenv: is %s the module's root?", seen, uses, root)
	}
}

package cuda

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/gputrain/gputrain/net"
)

var someKey = choiceKey{
	GPU: "NVIDIA A100", ComputeCapability: "8.0", Multiprocessors: 108, Memory: 1 << 35, Driver: "12.4", DNN: "9.1", Precision: TF32, Workspace: 1 << 28,
	Batch: 50, In: net.Shape{C: 1, H: 28, W: 28}, Out: net.Shape{C: 32, H: 28, W: 28}, Groups: 1, Kernel: [2]int{5, 5}, Stride: [2]int{1, 1},
	Dilation: [2]int{1, 1}, Padding: [2]int{2, 2}, Products: [3]bool{true, true, true},
}

var someWays = measuredWays{
	{{ID: 6, Milliseconds: 0.01}, {ID: 1, Deterministic: true, Milliseconds: 0.02}},
	{{ID: 1, Deterministic: true}},
	{{ID: 3, Milliseconds: 1e-3}, {ID: 0, Milliseconds: 2}, {ID: 5, Deterministic: true, Milliseconds: 3}},
}

// changed returns the key with one of its numbers or texts changed, one for each of them.
func changed(key choiceKey) (keys []choiceKey) {
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		switch {
		case v.Kind() == reflect.Struct:
			for i := range v.NumField() {
				walk(v.Field(i))
			}
		case v.Kind() == reflect.Array:
			for i := range v.Len() {
				walk(v.Index(i))
			}
		default:
			before := reflect.New(v.Type()).Elem()
			before.Set(v)
			switch {
			case v.Kind() == reflect.String:
				v.SetString(v.String() + "x")
			case v.CanUint():
				v.SetUint(v.Uint() + 1)
			case v.Kind() == reflect.Bool:
				v.SetBool(!v.Bool())
			default:
				v.SetInt(v.Int() + 1)
			}
			keys = append(keys, key)
			v.Set(before)
		}
	}
	walk(reflect.ValueOf(&key).Elem())
	return keys
}

func TestChoiceCache(t *testing.T) {
	c := newChoiceCache(filepath.Join(t.TempDir(), "not", "yet"))
	if _, ok := c.load(someKey); ok {
		t.Error("an empty cache has something")
	}
	c.store(someKey, someWays)
	if c.problem() != "" {
		t.Fatal(c.problem())
	}
	if ways, ok := c.load(someKey); !ok || !reflect.DeepEqual(ways, someWays) {
		t.Errorf("stored %v, loaded %v (%v)", someWays, ways, ok)
	}
	keys := changed(someKey)
	if len(keys) != 29 {
		t.Fatalf("%d numbers and texts in a key, want 29", len(keys))
	}
	for _, key := range keys {
		if _, ok := c.load(key); ok {
			t.Errorf("found for %+v what was measured for %+v", key, someKey)
		}
	}
	if names := listing(t, c.folder); len(names) != 1 || filepath.Join(c.folder, names[0]) != c.path(someKey) {
		t.Errorf("the folder holds %v", names)
	}
	var none *choiceCache
	none.store(someKey, someWays)
	if _, ok := none.load(someKey); ok || none.problem() != "" || newChoiceCache("") != nil {
		t.Error("no folder, and something is kept")
	}
}

func listing(t *testing.T, folder string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// someFile is what the cache writes, changed by f.
func someFile(t testing.TB, f func(*choiceFile)) string {
	t.Helper()
	file := choiceFile{choiceFormat, someKey, measuredWays{}}
	for i, ways := range someWays {
		file.Ways[i] = append([]measuredAlgorithm{}, ways...)
	}
	f(&file)
	text, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// wrongFiles can't be used, for many reasons.
func wrongFiles(t testing.TB) map[string]string {
	good := someFile(t, func(*choiceFile) {})
	return map[string]string{
		"empty": "", "no JSON": "hello", "null": "null", "a list": "[]", "cut off": good[:len(good)/2], "something behind": good + "{}",
		"too long":     good + strings.Repeat(" ", mostChoiceBytes),
		"too new":      someFile(t, func(f *choiceFile) { f.Format++ }),
		"another's":    someFile(t, func(f *choiceFile) { f.Key.DNN = "9.2" }),
		"none":         someFile(t, func(f *choiceFile) { f.Ways[1] = nil }),
		"too many":     someFile(t, func(f *choiceFile) { f.Ways[0] = make([]measuredAlgorithm, mostAlgorithms+1) }),
		"twice":        someFile(t, func(f *choiceFile) { f.Ways[2][2].ID = 3 }),
		"negative":     someFile(t, func(f *choiceFile) { f.Ways[0][0].ID = -1 }),
		"out of range": someFile(t, func(f *choiceFile) { f.Ways[0][0].ID = mostAlgorithms }),
		"before":       someFile(t, func(f *choiceFile) { f.Ways[0][0].Milliseconds = -1 }),
		"text":         strings.Replace(good, `"milliseconds":0.01`, `"milliseconds":"fast"`, 1),
		"four":         strings.Replace(good, `"algorithms":[`, `"algorithms":[1,`, 1),
	}
}

// TestChoiceCacheMends ignores files that can't be used and replaces them.
func TestChoiceCacheMends(t *testing.T) {
	c := newChoiceCache(t.TempDir())
	for name, text := range wrongFiles(t) {
		if err := os.WriteFile(c.path(someKey), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if ways, ok := c.load(someKey); ok || !reflect.DeepEqual(ways, measuredWays{}) {
			t.Errorf("%s: loaded %v", name, ways)
		}
		c.store(someKey, someWays)
		if _, ok := c.load(someKey); !ok {
			t.Errorf("%s: not replaced: %s", name, c.problem())
		}
	}
}

// TestChoiceCacheCannotWrite goes on without, says why and leaves nothing behind.
func TestChoiceCacheCannotWrite(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	c := newChoiceCache(filepath.Join(file, "folder"))
	c.store(someKey, someWays)
	if _, ok := c.load(someKey); ok || !strings.Contains(c.problem(), file) {
		t.Errorf("a file for a folder: %q", c.problem())
	}
	c = newChoiceCache(dir)
	if err := os.MkdirAll(filepath.Join(c.path(someKey), "in the way"), 0o755); err != nil {
		t.Fatal(err)
	}
	c.store(someKey, someWays)
	if _, ok := c.load(someKey); ok || c.problem() == "" {
		t.Errorf("a folder for a file: %q", c.problem())
	}
	if names := listing(t, dir); len(names) != 2 {
		t.Errorf("left behind: %v", names)
	}
}

// TestChoiceCacheTogether writes and reads from many places at once: whoever reads finds nothing or all.
func TestChoiceCacheTogether(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	for writer := range 8 {
		all.Go(func() {
			c := newChoiceCache(dir)
			for n := range 20 {
				key := someKey
				key.Batch = n
				if _, err := os.Stat(c.path(key)); err == nil {
					if _, ok := c.load(key); !ok {
						t.Errorf("writer %d: the file for batch %d can't be used", writer, n)
					}
				}
				c.store(key, someWays)
				if c.err != nil {
					t.Error(c.err)
				}
			}
		})
	}
	all.Wait()
	if names := listing(t, dir); len(names) != 20 {
		t.Errorf("%d files, want 20", len(names))
	}
}

// FuzzChoices feeds files to the cache: what it takes is in range and survives being written again.
func FuzzChoices(f *testing.F) {
	f.Add([]byte(someFile(f, func(*choiceFile) {})))
	for _, text := range wrongFiles(f) {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		ways, err := parseChoices(text, someKey)
		if err != nil {
			if !reflect.DeepEqual(ways, measuredWays{}) {
				t.Fatalf("an error and %v", ways)
			}
			return
		}
		for _, list := range ways {
			if len(list) < 1 || len(list) > mostAlgorithms { // the key has all products
				t.Fatalf("%d algorithms", len(list))
			}
			for _, a := range list {
				if a.ID < 0 || a.ID >= mostAlgorithms || !(a.Milliseconds >= 0) {
					t.Fatalf("algorithm %+v", a)
				}
			}
		}
		again, err := json.Marshal(choiceFile{choiceFormat, someKey, ways})
		if err != nil {
			t.Fatal(err)
		}
		if same, err := parseChoices(again, someKey); err != nil || !reflect.DeepEqual(same, ways) {
			t.Fatalf("%v becomes %v (%v)", ways, same, err)
		}
	})
}

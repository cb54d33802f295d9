package main

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/cuda/driver"
	"github.com/gputrain/gputrain/net"
)

var update = flag.Bool("update", false, "write testdata/*.golden anew")

// golden compares a text with the file testdata/name.golden. Paths are taken
// before the test changes folders.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != strings.ReplaceAll(string(want), "\r\n", "\n") {
		t.Errorf("%s differs (go test ./cmd/gputrain -update writes it anew):\n%s", path, got)
	}
}

func TestHelp(t *testing.T) {
	for _, name := range []string{"train", "find-rate", "eval", "predict", "serve", "report", "data", "export", "import", "models", "models show", "recipes", "recipes show", "verify", "bench", "devices", "completion"} {
		words := strings.Fields(name)
		help := must(t, append(words, "--help")...)
		golden(t, "help-"+strings.Join(words, "-"), help)
		if other := must(t, append([]string{"help"}, words...)...); help != other {
			t.Errorf("gputrain help %s differs from --help:\n%s", name, other)
		}
		if !strings.Contains(help, "\nExamples:\n") {
			t.Errorf("gputrain %s --help has no examples", name)
		}
		all := must(t, append(words, "--help", "--all")...)
		if other := must(t, append(append([]string{"help"}, words...), "--all")...); all != other {
			t.Errorf("gputrain help %s --all differs from --help --all:\n%s", name, other)
		}
		for _, line := range strings.Split(help+all, "\n") {
			if len(line) > 80 {
				t.Errorf("gputrain %s --help: line of %d characters: %s", name, len(line), line)
			}
		}
		// Short is what a reader finds his flag in, and --all has every flag.
		if n := strings.Count(help, "\n  --"); n > 20 || (help == all) != !strings.Contains(help, " more flags: gputrain "+name+" --help --all\n") {
			t.Errorf("gputrain %s --help has %d flags:\n%s", name, n, help)
		}
		for _, f := range flagsOf(t, words) {
			if !strings.Contains(all, "\n  --"+f.Names()[0]) {
				t.Errorf("gputrain %s --help --all lacks --%s", name, f.Names()[0])
			}
		}
	}
	for _, args := range []string{"predict seven.png --help", "predict -h seven.png", "predict --top 1 a.png b.png --help"} {
		golden(t, "help-predict", must(t, strings.Fields(args)...))
	}
	golden(t, "help-models-show", must(t, "models", "show", "--help", "lenet5"))
	for _, args := range []string{"help help", "help --help", "help -h", "help help --help"} {
		golden(t, "help-help", must(t, strings.Fields(args)...))
	}
	golden(t, "help-train", must(t, "help", "train", "--help"))
	golden(t, "help-train-all", must(t, "train", "-h", "--all"))
	for _, first := range []string{"--data ", "--model ", "--epochs ", "--batch", "--learning-rate", "--augment ", "--run", "--resume ", "--device "} {
		if !strings.Contains(must(t, "train", "--help"), "\n  "+first) {
			t.Errorf("train --help lacks %s", first)
		}
	}
	help := must(t)
	golden(t, "help", help)
	if other := must(t, "--help"); other != help {
		t.Errorf("--help differs from no arguments:\n%s", other)
	}
	if v := must(t, "--version"); !strings.HasPrefix(v, "gputrain ") || !strings.Contains(v, "go1.") ||
		strings.Contains(v, "with CUDA") != driver.Built || strings.Contains(v, "without CUDA") == driver.Built {
		t.Errorf("--version printed %q", v)
	}
}

// flagsOf returns the flags of a command.
func flagsOf(t *testing.T, words []string) []cli.Flag {
	t.Helper()
	a := &app{out: newStream(&bytes.Buffer{}, nil), err: newStream(&bytes.Buffer{}, nil)}
	commands := a.root().Commands
	for i, word := range words {
		for _, c := range commands {
			if c.Name != word {
				continue
			}
			if commands = c.Subcommands; i == len(words)-1 {
				return c.Flags
			}
			break
		}
	}
	t.Fatalf("there is no command %v", words)
	return nil
}

func TestModels(t *testing.T) {
	golden(t, "models", must(t, "models"))
	for _, name := range []string{"tutorial", "lenet5", "mlp"} {
		golden(t, "models-show-"+name, must(t, "models", "show", name))
	}
	every := `{"input": {"channels": 3, "height": 9, "width": 8}, "layers": [
		{"type": "conv", "filters": 4, "kernel": [3, 2], "stride": 2, "dilation": [1, 2], "padding": [1, 1, 0, 2], "no_bias": true},
		{"type": "batchnorm"}, {"type": "activation", "func": "leaky_relu"}, {"type": "dropout", "rate": 0.25},
		{"type": "pool", "mode": "l2", "kernel": 2, "stride": 1, "padding": "same"}, {"type": "activation", "func": "sigmoid"},
		{"type": "flatten"}, {"type": "dense", "units": 3, "no_bias": true}]}`
	path := filepath.Join(t.TempDir(), "every.json")
	write(t, path, every)
	golden(t, "models-show-every-layer", must(t, "models", "show", path))

	// What show --json prints is a model file.
	asJSON := must(t, "models", "show", "lenet5", "--json")
	write(t, path, asJSON)
	if again := must(t, "models", "show", path, "--json"); again != asJSON {
		t.Errorf("a model's JSON changes when it is read: %s", again)
	}
	if a, b := must(t, "models", "show", path), must(t, "models", "show", "lenet5"); a != b {
		t.Errorf("a model's table changes when it is read:\n%s", a)
	}
	if lines, want := strings.Count(must(t, "models", "--json"), "\n"), len(net.Models()); lines != want {
		t.Errorf("models --json prints %d lines, want %d", lines, want)
	}

	drawn := filepath.Join(t.TempDir(), "graph.svg")
	golden(t, "models-show-resnet20", must(t, "models", "show", "resnet20", "--input", "1x28x28", "--classes", "7", "--svg", drawn))
	if b, err := os.ReadFile(drawn); err != nil || !strings.Contains(string(b), ">layer3_2_add<") {
		t.Errorf("the drawing: %v: %s", err, b)
	}
	golden(t, "models-show-cuda", must(t, "models", "show", "tutorial", "--device", "cuda"))
}

// TestUsage reads the message for every command line that makes no sense.
func TestUsage(t *testing.T) {
	inFolder(t)
	write(t, "wrong.json", `{"input": {"channels": 1, "height": 28, "width": 28}, "layers": [{"type": "dense", "units": 10}]}`)
	if err := os.Mkdir("folder", 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, "garbled.json", `{"layers": [`)
	write(t, "empty.json", "{}")
	for _, c := range []struct {
		args string
		want string
	}{
		{"trian", `unknown command "trian" (did you mean train?); see gputrain --help`},
		{"xyzzy", `unknown command "xyzzy"; see gputrain --help`},
		{"models shwo", `unknown command "shwo" (did you mean show?); see gputrain models --help`},
		{"fit", `unknown command "fit" (did you mean train?); see gputrain --help`},
		{"Fit --epochs 3", `unknown command "Fit" (did you mean train?); see gputrain --help`},
		{"fit -x --data mine", `unknown command "fit" (did you mean train?); see gputrain --help`},
		{"models list --all-of-them", `unknown command "list" (did you mean gputrain models?); see gputrain models --help`},
		{"help fit", `unknown command "fit" (did you mean train?); see gputrain --help`},
		{"finetune", `unknown command "finetune" (did you mean train --from RUN?); see gputrain --help`},
		{"test", `unknown command "test" (did you mean eval?); see gputrain --help`},
		{"evaluate", `unknown command "evaluate" (did you mean eval?); see gputrain --help`},
		{"infer", `unknown command "infer" (did you mean predict?); see gputrain --help`},
		{"inference", `unknown command "inference" (did you mean predict?); see gputrain --help`},
		{"convert", `unknown command "convert" (did you mean export?); see gputrain --help`},
		{"version", `unknown command "version" (did you mean --version?); see gputrain --help`},
		{"models list", `unknown command "list" (did you mean gputrain models?); see gputrain models --help`},
		{"models show", "models show takes one argument, a model's name or file; see gputrain models show --help"},
		{"help trian", `unknown command "trian" (did you mean train?); see gputrain --help`},
		{"help models shwo", `unknown command "shwo" (did you mean show?); see gputrain --help`},
		{"--nope", "unknown flag --nope; see gputrain --help"},
		{"devices -x", "unknown flag -x; see gputrain devices --help"},
		{"devices -json=true -jso", "unknown flag -jso (did you mean --json?); see gputrain devices --help"},
		{"train --x=1", "unknown flag --x; see gputrain train --help"},
		{"train --epoch 3", "unknown flag --epoch (did you mean --epochs?); see gputrain train --help"},
		{"train --epochs", "--epochs needs a value; see gputrain train --help"},
		{"train --epochs many", `--epochs: "many" is not a whole number`},
		{"train --seed -1", `--seed: "-1" is not a whole number of at least 0`},
		{"train --learning-rate fast", `--learning-rate: "fast" is not a number`},
		{"train --nesterov=perhaps", `--nesterov: "perhaps" is not true or false`},
		{"train mnist", `train takes no arguments, got "mnist": --run names a new run, --resume goes on with one; see gputrain train --help`},
		{"train --resume a b", "train takes one run, got more; see gputrain train --help"},
		{"train --recipe quick", `recipe: unknown "quick"; want tutorial, sprint, fast, mnist-best, fashion, cifar94, cifar95, cifar96 or photos, or a JSON file`},
		{"train --recipe tutoral", `recipe: unknown "tutoral" (did you mean tutorial?); want tutorial, sprint, fast, mnist-best, fashion, cifar94, cifar95, cifar96 or photos, or a JSON file`},
		{"train --device gpu", `--device: unknown "gpu": an NVIDIA GPU is cuda; want auto, cpu, reference or cuda`},
		{"bench --device GPU:1", `--device: unknown "GPU:1": an NVIDIA GPU is cuda:1; want auto, cpu, reference or cuda`},
		{"verify --device 0", `--device: unknown "0": an NVIDIA GPU is cuda:0; want auto, cpu, reference or cuda`},
		{"train --device mps", `--device: unknown "mps" (did you mean cpu?); want auto, cpu, reference or cuda`},
		{"train --workers 4", "unknown flag --workers: pictures are decoded once, and the device itself prepares the mini-batches; --threads N is for the CPU device; see gputrain train --help"},
		{"predict --gpu 1 a.png", "unknown flag --gpu: use --device cuda, or --device cuda:1 for the second GPU; see gputrain predict --help"},
		{"serve --port 9000", "unknown flag --port: use --address 127.0.0.1:9000, or --address :9000 for every address of this machine; see gputrain serve --help"},
		{"serve --host=0.0.0.0", "unknown flag --host: use --address 0.0.0.0:8080; see gputrain serve --help"},
		{"serve --host", "unknown flag --host: use --address HOST:8080; see gputrain serve --help"},
		{"train --name wide", "unknown flag --name: a run is named by --run wide; see gputrain train --help"},
		{"train --val-split 0.2", "unknown flag --val-split: the data's folders train, validation and test are taken as they are; what is missing is a tenth of each class, chosen by --seed; see gputrain train --help"},
		{"train --Validation_Split 0.2", "unknown flag --Validation_Split: the data's folders train, validation and test are taken as they are; what is missing is a tenth of each class, chosen by --seed; see gputrain train --help"},
		{"train --dropout 0.5", "unknown flag --dropout: dropout is a layer of the network: write one to a file with gputrain models show tutorial --json, change it, and use --model FILE; see gputrain train --help"},
		{"train --batch_size 8", "unknown flag --batch_size (did you mean --batch-size?); see gputrain train --help"},
		{"train --wd much", `--wd: "much" is not a number`},
		{"predict --model mine a.png", "unknown flag --model: a trained network is named by --run mine: a run's name or folder, or a checkpoint file; see gputrain predict --help"},
		{"predict --weights mine a.png", "unknown flag --weights: a trained network is named by --run mine: a run's name or folder, or a checkpoint file; see gputrain predict --help"},
		{"eval --model mine", "unknown flag --model: a trained network is named by --run mine: a run's name or folder, or a checkpoint file; see gputrain eval --help"},
		{"export --weights mine", "unknown flag --weights: a trained network is named by --run mine: a run's name or folder, or a checkpoint file; see gputrain export --help"},
		{"predict --image a.png", "unknown flag --image: images stand without a flag: gputrain predict a.png; see gputrain predict --help"},
		{"predict -o out.json a.png", "unknown flag -o: results go to standard output: --json > out.json; see gputrain predict --help"},
		{"serve --token x", "unknown flag --token: write the token to a file and name it by --token-file FILE, or set GPUTRAIN_TOKEN; others could see it in a command line; see gputrain serve --help"},
		{"export --to onnx", "unknown flag --to: use --format onnx or --format safetensors; see gputrain export --help"},
		{"devices --port 9", "unknown flag --port; see gputrain devices --help"},
		{"train --top 11 --limit 10", "--top must be at most 10, the number of classes, got 11"},
		{"train --threads 0", "--threads must be at least 1, got 0"},
		{"train --threads 99999999", "cpu: threads must be from 1 to 4096, or 0 for all, got 99999999"},
		{"train --memory-limit lots", `--memory-limit: "lots" is not a size such as 512MB, 2GiB or 1000000 (bytes)`},
		{"train --memory-limit -1", `--memory-limit: "-1" is not a size such as 512MB, 2GiB or 1000000 (bytes)`},
		{"train --memory-limit 0", `--memory-limit: "0" is not a size such as 512MB, 2GiB or 1000000 (bytes)`},
		{"train --memory-limit 9EB --workspace 10EB", `--workspace: "10EB" is not a size such as 512MB, 2GiB or 1000000 (bytes)`},
		{"verify --workspace 2GX", `--workspace: "2GX" is not a size such as 512MB, 2GiB or 1000000 (bytes)`},
		{"train --limit 0", "--limit must be at least 1, got 0"},
		{"train --epochs 0", "epochs must be from 1 to 1000000, got 0; see gputrain train --help"},
		{"train --batch 0", "batch size must be from 1 to 2147483647, got 0; see gputrain train --help"},
		{"train --patience -1", "patience must be at least 0 epochs, got -1; see gputrain train --help"},
		{"train --beta1 1", "optimiser: beta1 must be at least 0 and less than 1, got 1; see gputrain train --help"},
		{"train --warmup-epochs 10", "warm-up must be at least 0 and less than the 10 epochs, got 10; see gputrain train --help"},
		{"train --watch cost", `--watch: unknown "cost" (did you mean loss?); want loss or accuracy`},
		{"train --optimizer rmsprop", `--optimizer: unknown "rmsprop"; want sgd, adam, adamw, lion or muon`},
		{"train --optimizer sgd", "--optimizer sgd needs another learning rate than the recipe's 0.0001 for adam: set --learning-rate too"},
		{"train --optimizer lion", "--optimizer lion needs another learning rate than the recipe's 0.0001 for adam: set --learning-rate too"},
		{"train --optimizer muon --lr 0.1 --beta1 0.5", "--beta1 is for adam, adamw or lion, the optimiser is muon: set --optimizer, or leave the flag out"},
		{"train --optimizer muon --lr 0.1 --iterations 0", "group @hidden: optimiser: iterations must be at least 1 and less than 21, got 0; see gputrain train --help"},
		{"train --iterations 3", "--iterations is for muon, the optimiser is adam: set --optimizer, or leave the flag out"},
		{"train --lookahead 5 --average 0.9", "average and lookahead exclude each other; see gputrain train --help"},
		{"train --lookahead -1", "lookahead: every must be at least 1 update, got -1; see gputrain train --help"},
		{"train --evaluate-every -1", "epochs between evaluations must be from 1 to 1000000, got -1; see gputrain train --help"},
		{"train --momentum 0.9", "--momentum is for sgd or muon, the optimiser is adam: set --optimizer, or leave the flag out"},
		{"train --optimizer sgd --learning-rate 0.1 --beta2 0.9", "--beta2 is for adam, adamw or lion, the optimiser is sgd: set --optimizer, or leave the flag out"},
		{"train --schedule onecycle", `--schedule: unknown "onecycle" (did you mean one-cycle?); want constant, step, cosine, one-cycle, linear or exponential`},
		{"train --peak 0.3", "--peak is for one-cycle or linear, the schedule is constant: set --schedule, or leave the flag out"},
		{"train --schedule step --final-rate 0", "--final-rate is for cosine, one-cycle, linear or exponential, the schedule is step: set --schedule, or leave the flag out"},
		{"train --start-rate 0.5", "--start-rate is for one-cycle, linear or exponential, the schedule is constant: set --schedule, or leave the flag out"},
		{"train --schedule exponential --final-rate 0", "schedule: exponential needs a start and an end above 0; see gputrain train --help"},
		{"train --augment standart", `--augment: unknown "standart" (did you mean standard?); want none, light, standard or strong, or a JSON file`},
		{"train --label-smoothing 1", "loss: label smoothing must be at least 0 and less than 1, got 1; see gputrain train --help"},
		{"train --class-weights even", `--class-weights: "even" is neither balanced, none nor numbers with commas between them, one a class`},
		{"train --class-weights 1,,2", `--class-weights: "1,,2" is neither balanced, none nor numbers with commas between them, one a class`},
		{"train --class-weights=-1,1", "loss: the weight of class 0 must be from 0 to a million, got -1; see gputrain train --help"},
		{"train --average 1", "the decay of the weights' moving average must be at least 0 and less than 1, got 1; see gputrain train --help"},
		{"train --views both", `--views: unknown "both"; want one, mirror or six`},
		{"train --top 0", "--top must be at least 1, got 0"},
		{"train --max-time 0s", "--max-time must be more than 0, got 0s"},
		{"train --max-time soon", `--max-time: "soon" is not a time such as 500ms or 2s`},
		{"train --rate-factor dense2", `--rate-factor: "dense2" is not names of parameters and a factor, such as dense2.*=10`},
		{"train --rate-factor dense2.*=much", `--rate-factor: "dense2.*=much" is not names of parameters and a factor, such as dense2.*=10`},
		{"train --rate-factor =3", `optimiser: "" is no pattern of names; see gputrain train --help`},
		{"train --lr x", `--lr: "x" is not a number`},
		{"train --lr 0.1 --learning-rate 0.2", "--learning-rate and --lr are one flag: leave one of them out"},
		{"find-rate mnist", `find-rate takes no arguments, got "mnist"; see gputrain find-rate --help`},
		{"find-rate --steps 5", "range of learning rates: want at least 10 steps, got 5; see gputrain find-rate --help"},
		{"find-rate --from 1", "range of learning rates: want more than 0 and rising, got 1 to 0.1; see gputrain find-rate --help"},
		{"find-rate --lr 1", "unknown flag --lr: find-rate looks for the learning rate, between --from and --to; see gputrain find-rate --help"},
		{"train --checkpoint-every often", `--checkpoint-every: "often" is neither a number of steps nor a time such as 90s or 5m`},
		{"train --model lenet", `model "lenet" is neither a file nor a built-in model (did you mean lenet5?); gputrain models lists those`},
		{"models show resnet20 --input 3x32", `--input "3x32": want channels, rows and columns, such as 3x224x224`},
		{"models show resnet20 --classes 1", "--classes must be at least 2, got 1"},
		{"models show resnet20 --device tpu", `--device: unknown "tpu" (did you mean cpu?); want cpu or cuda`},
		{"models show wrong.json --input 1x28x28", "--input and --classes are for built-in models; wrong.json says itself what it takes and gives"},
		{"train --accumulate 0", "--accumulate must be at least 1, got 0"},
		{"eval a b", "eval takes one run, got more; see gputrain eval --help"},
		{"serve a --run b", "serve takes one run, got more; see gputrain serve --help"},
		{"report a b --run a", "report takes one run, got more; see gputrain report --help"},
		{"eval --split dev", `--split: unknown "dev"; want test, validation or train`},
		{"predict", "predict needs an image: a file, - or test:N; see gputrain predict --help"},
		{"predict --top 0 a.png", "--top must be at least 1, got 0"},
		{"predict --prepare cut a.png", `--prepare: unknown "cut" (did you mean auto?); want auto, digit, stretch, fit or crop`},
		{"verify all", `verify takes no arguments, got "all"; see gputrain verify --help`},
		{"verify --batch 0", "--batch must be at least 1, got 0"},
		{"devices gpu", `devices takes no arguments, got "gpu"; see gputrain devices --help`},
		{"completion", "completion takes one argument, the shell: bash, zsh or fish"},
		{"completion tcsh", `completion: unknown shell "tcsh" (want bash, zsh or fish)`},
	} {
		refuses(t, exitUsage, c.want, strings.Fields(c.args)...)
	}
	noRun := "there is no run in " + runsFolder + string(filepath.Separator) + ": train one first (gputrain train), or say where it is: "
	for _, c := range []struct {
		args string
		want string
	}{
		{"train --model wrong.json", `wrong.json: network: layer 0 (dense1): a dense layer needs a flat input: put a flatten layer before it; input 1 x 28 x 28, no output shape`},
		{"train --model folder", "folder: a folder, want a file in it"},
		{"train --model garbled.json", "garbled.json: network: not valid JSON: it ends too early, in line 1"},
		{"train --augment nowhere.json", "--augment: there is no file nowhere.json"},
		{"train --augment garbled.json", "garbled.json: augmentation: not valid JSON: it ends too early, in line 1"},
		{"train --augment wrong.json", `wrong.json: augmentation: unknown field "input"`},
		{"train --recipe nowhere.json", "recipe: there is no file nowhere.json"},
		{"train --recipe empty.json", "empty.json: recipe: epochs must be from 1 to 1000000, got 0"},
		{"train --recipe folder", "folder: a folder, want a file in it"},
		{"train --data nowhere", "data directory nowhere: file does not exist"},
		{"train --resume nowhere", "there is no checkpoint in nowhere: train one first (gputrain train --run nowhere), or name another"},
		{"train --resume", noRun + "--run RUN"},
		{"predict test:0", noRun + "--run RUN"},
		{"report", noRun + "--run RUN"},
	} {
		refuses(t, exitFailed, c.want, strings.Fields(c.args)...)
	}
	if entries, err := os.ReadDir(runsFolder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("refused command lines left %v in %s", entries, runsFolder)
	}
	o := gputrain(t, "eval", "--run", "garbled.json")
	if o.status != exitFailed || !strings.Contains(o.errors, "garbled.json: not a usable checkpoint") || strings.Count(o.errors, "\n") != 1 {
		t.Errorf("a foreign checkpoint: status %d, %s", o.status, o.errors)
	}
}

func TestEnvironment(t *testing.T) {
	inFolder(t)
	a := &app{out: newStream(&bytes.Buffer{}, nil), err: newStream(&bytes.Buffer{}, nil)}
	var walk func(path string, commands []*cli.Command)
	walk = func(path string, commands []*cli.Command) {
		for _, c := range commands {
			for _, f := range c.Flags {
				if f == cli.HelpFlag {
					continue
				}
				d := f.(cli.DocGenerationFlag)
				var want []string // of other names too, but for letters
				for _, name := range f.Names() {
					if len(name) > 1 {
						want = append(want, "GPUTRAIN_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_")))
					}
				}
				if vars := d.GetEnvVars(); !slices.Equal(vars, want) {
					t.Errorf("%s %s --%s: environment variables %v, want %v", path, c.Name, f.Names()[0], vars, want)
				}
			}
			walk(path+" "+c.Name, c.Subcommands)
		}
	}
	walk("gputrain", a.root().Commands)

	// What resembles our variables is told of, what is for others isn't.
	for name, want := range map[string]string{
		"GPUTRAIN_LERNING_RATE": "note: the environment sets GPUTRAIN_LERNING_RATE, which no command knows (did you mean GPUTRAIN_LEARNING_RATE?)\n",
		"GPUTRAIN_WORKERS":      "note: the environment sets GPUTRAIN_WORKERS, which no command knows\n",
		"GPUTRAIN_WD":           "", "GPUTRAIN_TOKEN": "", "GPUTRAIN_MPI": "", "GPUTRAIN_CPU": "", "GPUTRAIN_CUDA_LIBS": "", "GPUTRAIN_TEST_SEED": "", "GPUTRAIN_EPOCHS": "",
		"GPUTRAIN_PORT": "", "GPUTRAIN_SERVICE_HOST": "", "GPUTRAIN_SERVE_SERVICE_PORT_HTTP": "", "GPUTRAIN_PORT_8080_TCP_ADDR": "", "GPUTRAINER": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, "1")
			if o := gputrain(t, "models"); o.status != exitOK || o.errors != want {
				t.Errorf("status %d, %q, want %q", o.status, o.errors, want)
			}
			t.Setenv(name, "")
			if o := gputrain(t, "models"); o.errors != "" {
				t.Errorf("set to nothing: %q", o.errors)
			}
		})
	}

	t.Setenv("GPUTRAIN_SEED", "x")
	refuses(t, exitUsage, `environment variable GPUTRAIN_SEED: "x" is not a whole number of at least 0`, "train")
	t.Setenv("GPUTRAIN_SEED", "1")
	t.Setenv("GPUTRAIN_WATCH", "cost")
	refuses(t, exitUsage, `--watch: unknown "cost" (did you mean loss?); want loss or accuracy`, "train")
	t.Setenv("GPUTRAIN_WATCH", "")
	t.Setenv("GPUTRAIN_MODEL", "quick.json")
	t.Setenv("GPUTRAIN_EPOCHS", "1")
	t.Setenv("GPUTRAIN_LIMIT", "500")
	if out := must(t, "train"); !strings.Contains(out, "quick: 500 parameters") || !strings.Contains(out, "1 epoch, batch 50") || !strings.Contains(out, "500 of 55,000 training") {
		t.Errorf("the environment was not heard:\n%s", out)
	}
}

// TestForeignFlags: each hint is for a command that has the flag it tells of, and none
// of its names is a flag there, or it would never be told.
func TestForeignFlags(t *testing.T) {
	a := &app{out: newStream(&bytes.Buffer{}, nil), err: newStream(&bytes.Buffer{}, nil)}
	seen := map[string]bool{}
	for _, f := range foreignFlags {
		commands := 0
		for _, c := range a.root().Commands {
			if flagNamed(c.Flags, f.here) == nil {
				continue
			}
			for _, name := range strings.Fields(f.names) {
				if flagNamed(c.Flags, name) == nil {
					commands++
				}
			}
		}
		if commands == 0 {
			t.Errorf("no command has --%s and lacks one of %s", f.here, f.names)
		}
		for _, name := range strings.Fields(f.names) {
			if seen[name+" "+f.here] {
				t.Errorf("two hints for --%s", name)
			}
			seen[name+" "+f.here] = true
			if name != strings.ToLower(name) || strings.Contains(name, "_") {
				t.Errorf("%s is never found: names have small letters and dashes", name)
			}
		}
		for _, flag := range regexp.MustCompile(`--([a-z-]+)`).FindAllStringSubmatch(f.use, -1) {
			known := flag[1] == "json"
			for _, c := range a.root().Commands {
				known = known || flagNamed(c.Flags, f.here) != nil && flagNamed(c.Flags, flag[1]) != nil
			}
			if !known {
				t.Errorf("the hint for %s tells of --%s, which none of its commands has", f.names, flag[1])
			}
		}
	}
}

// TestForeignCommands: no such word is a command, none is listed twice, and what is meant
// is one.
func TestForeignCommands(t *testing.T) {
	a := &app{out: newStream(&bytes.Buffer{}, nil), err: newStream(&bytes.Buffer{}, nil)}
	seen := map[string]bool{}
	for _, f := range foreignCommands {
		commands := a.root().Commands
		if _, sub, ok := strings.Cut(f.parent, " "); ok {
			for _, c := range commands {
				if c.Name == sub {
					commands = c.Subcommands
				}
			}
		}
		known := func(word string) bool {
			return slices.ContainsFunc(commands, func(c *cli.Command) bool { return c.Name == word })
		}
		if use := strings.Fields(f.use)[0]; use != f.parent && use != "gputrain" && use != "--version" && !known(use) {
			t.Errorf("%s is no command of %s", use, f.parent)
		}
		for _, word := range strings.Fields(f.names) {
			if known(word) || seen[f.parent+" "+word] || word != strings.ToLower(word) {
				t.Errorf("%s %s is a command, is listed twice, or is never found", f.parent, word)
			}
			seen[f.parent+" "+word] = true
		}
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if script := must(t, "completion", shell); !strings.Contains(script, completionFlag) {
			t.Errorf("%s: the script does not ask gputrain", shell)
		}
	}
	for _, c := range []struct {
		words string
		want  string // words that must be among the answers
		no    string // and one that must not
	}{
		{"", "train eval predict models verify devices completion help", "--help"},
		{"models", "show", "train"},
		{"models show", "tutorial lenet5 mlp", "show"},
		{"models show lenet5", "", "mlp"},
		{"train --ep", "--epochs --epsilon", "--batch"},
		{"train --device", "auto cpu reference cuda", "tutorial"},
		{"train --model", "tutorial lenet5 mlp", "auto"},
		{"train --epochs 3 --schedule", "constant step cosine one-cycle exponential", "train"},
		{"train --augment", "none light standard strong", "train"},
		{"train --views", "one mirror six", "train"},
		{"bench --scaling --link", "nvlink pcie4 pcie5", "auto"},
		{"bench --scaling --network", "10gbit 100gbit 400gbit", "nvlink"},
		{"train --class-weights", "balanced none", "train"},
		{"find-rate --st", "--steps", "--start-rate"},
		{"train --resume --ch", "--checkpoint-every", "--help"},
		{"train --device=", "--device=auto --device=cpu --device=reference --device=cuda", "cpu"},
		{"train --device=c", "--device=cpu --device=cuda", "train"},
		{"train --epochs=", "", "--epochs"},
		{"train --resume --device=cpu", "", "train"},
		{"train --device=cpu --recipe", "tutorial fast", "cpu"},
		{"train --m", "--memory-limit --model", "--workspace"},
		{"eval --v", "--verbose", "--top"},
		{"data --augment", "none light standard strong", "tutorial"},
		{"train --data x --resize", "crop fit stretch", "digit"},
		{"help", "train eval predict models verify devices completion help", "show"},
		{"help models", "show", "train"},
		{"help train", "", "train"},
		{"help nothing", "", "train"},
		{"completion", "bash zsh fish", "train"},
		{"completion bash", "", "zsh"},
	} {
		answers := strings.Fields(must(t, append(strings.Fields(c.words), completionFlag)...))
		for _, want := range strings.Fields(c.want) {
			if !slices.Contains(answers, want) {
				t.Errorf("completing %q gives %v without %s", c.words, answers, want)
			}
		}
		if slices.Contains(answers, c.no) {
			t.Errorf("completing %q gives %s", c.words, c.no)
		}
	}
}

// brokenWriter fails after some writes.
type brokenWriter struct {
	left int
	err  error
}

func (w *brokenWriter) Write(p []byte) (int, error) {
	if w.left--; w.left < 0 {
		return 0, w.err
	}
	return len(p), nil
}

func TestOutputFails(t *testing.T) {
	inFolder(t)
	var errs bytes.Buffer
	status := run(t.Context(), []string{"gputrain", "models"}, nil, &brokenWriter{err: errors.New("disk full")}, &errs)
	if want := "gputrain: cannot write the output: disk full\n"; status != exitFailed || errs.String() != want {
		t.Errorf("status %d, %q; want %d, %q", status, errs.String(), exitFailed, want)
	}
	// A reader that goes away, as head does, ends a run, in silence and with a
	// checkpoint.
	errs.Reset()
	args := append([]string{"gputrain"}, quick("--epochs", "1000000")...)
	status = run(t.Context(), args, nil, &brokenWriter{left: 8, err: syscall.EPIPE}, &errs)
	if status != exitFailed || errs.Len() > 0 {
		t.Errorf("broken pipe: status %d, %q; want %d and nothing", status, errs.String(), exitFailed)
	}
	if _, err := os.Stat(filepath.Join(runsFolder, "run-1", "last.safetensors")); err != nil {
		t.Error(err)
	}
}

package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/cuda/driver"
	"github.com/gputrain/gputrain/net/parallel/mpi"
)

// foreignFlag tells what to use instead of flags that other programs have.
type foreignFlag struct {
	names string // names of foreign flags, separated by spaces
	here  string // only for commands that have this flag
	use   string // the advice; VALUE stands for the value that was typed
}

// foreignFlags lists flags that users of PyTorch, Keras, timm, Ultralytics and others
// type. The first entry that suits the command counts.
var foreignFlags = []foreignFlag{
	{"lr learning-rate", "steps", "find-rate looks for the learning rate, between --from and --to"},
	{"epochs epoch", "steps", "find-rate makes --steps N steps"},
	{"workers num-workers nw jobs", "threads", "pictures are decoded once, and the device itself prepares the mini-batches; --threads N is for the CPU device"},
	{"gpus num-gpus nproc-per-node world-size local-rank distributed", "device", "--device cuda:all trains on all GPUs of this machine; launchers such as torchrun start processes on several: see docs/scale.md"},
	{"gpu gpu-id cuda device-id", "device", "use --device cuda, or --device cuda:1 for the second GPU"},
	{"cpu no-cuda no-gpu use-cpu", "device", "use --device cpu"},
	{"port p", "address", "use --address 127.0.0.1:VALUE, or --address :VALUE for every address of this machine"},
	{"host bind listen ip", "address", "use --address VALUE:8080"},
	{"name exp-name experiment run-name project output-dir out-dir save-dir logdir log-dir work-dir", "run", "a run is named by --run VALUE"},
	{"val-split validation-split val-ratio valid-split test-split val-size test-size", "data", "the data's folders train, validation and test are taken as they are; what is missing is a tenth of each class, chosen by --seed"},
	{"val val-data val-dir valid validation test test-dir", "data", "--data names the folder above train, validation and test"},
	{"dataset data-dir data-path data-root root train-dir train-data", "data", "use --data VALUE"},
	{"dropout drop drop-rate dropout-rate", "model", "dropout is a layer of the network: write one to a file with gputrain models show tutorial --json, change it, and use --model FILE"},
	{"arch architecture network net backbone cfg", "model", "use --model VALUE; gputrain models lists the built-in ones"},
	{"num-classes classes nc n-classes", "model", "a built-in model has as many classes as the data, your own has those of its last layer"},
	{"opt optim solver", "optimizer", "use --optimizer VALUE"},
	{"scheduler lr-scheduler lr-schedule sched", "schedule", "use --schedule NAME: " + strings.Join(scheduleNames, ", ")},
	{"l2 decay weightdecay l2-reg", "weight-decay", "use --weight-decay VALUE"},
	{"loss criterion loss-fn", "label-smoothing", "the loss is softmax cross-entropy; --label-smoothing and --class-weights change it"},
	{"metrics", "top", "loss and accuracy are always told; --top N adds how often the right class is among the first N"},
	{"topk top-k k", "top", "use --top VALUE"},
	{"shuffle no-shuffle", "epochs", "the training images are shuffled anew in each epoch, by --seed"},
	{"imgsz img-size image-sz input-size img resolution target-size size", "image-size", "use --image-size VALUE"},
	{"amp fp16 half mixed-precision bf16 autocast dtype", "precision", "use --precision bf16, on GPUs from Ampere on"},
	{"early-stopping early-stop es", "patience", "use --patience N"},
	{"ema ema-decay swa", "average", "use --average 0.999"},
	{"mixup cutmix flip hflip vflip fliplr flipud crop random-crop rotate rotation color-jitter cutout erase random-erasing autoaugment randaugment augmentation aug transforms", "augment",
		"use --augment light, standard or strong, or a JSON file of your own (docs/training.md)"},
	{"grad-clip clip-grad clip-grad-norm max-grad-norm clipnorm gradient-clip-val clip", "clip-norm", "use --clip-norm VALUE"},
	{"gradient-accumulation-steps grad-accum accum accumulation-steps accumulate-grad-batches accum-iter", "accumulate", "use --accumulate VALUE"},
	{"warmup warmup-steps warmup-ratio lr-warmup-epochs", "warmup-epochs", "use --warmup-epochs N"},
	{"num-epochs n-epochs max-epochs e", "epochs", "use --epochs VALUE"},
	{"bs b batchsize minibatch mini-batch", "batch", "use --batch VALUE"},
	{"random-seed manual-seed random-state", "seed", "use --seed VALUE"},
	{"weights model m load load-weights ckpt model-path weights-path", "checkpoint", "a trained network is named by --run VALUE: a run's name or folder, or a checkpoint file"},
	{"pretrained init-from load ckpt checkpoint load-weights from-checkpoint finetune fine-tune pretrained-weights", "from", "a new run that begins with the weights of another is --from RUN, going on with one is --resume RUN"},
	{"num-labels replace-head new-head reset-head", "head", "with --from RUN, --head auto makes a new last layer for the data's classes"},
	{"freeze-backbone freeze-layers freeze-body frozen-layers backbone-frozen unfreeze", "freeze", "with --from RUN, --freeze @body trains only the last layer, --freeze none all"},
	{"backbone-lr lr-backbone layer-decay lr-mult discriminative-lr", "rate-factor", "use --rate-factor @body=0.1: a tenth of the rate for all layers but the last"},
	{"continue resume-from", "resume", "use --resume RUN"},
	{"save-every save-freq save-interval checkpoint-interval save-steps", "checkpoint-every", "use --checkpoint-every N, steps or a time such as 5m"},
	{"steps max-steps num-steps iterations iters", "epochs", "use --epochs N, or --max-time 10m"},
	{"evaluate eval test-only validate", "epochs", "gputrain eval tests a trained network"},
	{"quiet q silent no-progress", "json", "progress goes to standard error: 2>/dev/null leaves it out"},
	{"resize image-size imgsz channels", "prepare", "the run remembers how its pictures were prepared; --prepare HOW is for files"},
	{"resize image-size imgsz channels", "split", "the run remembers how its pictures were prepared"},
	{"token api-key auth auth-token password bearer", "token-file", "write the token to a file and name it by --token-file FILE, or set GPUTRAIN_TOKEN; others could see it in a command line"},
	{"https ssl tls cert certfile key keyfile ssl-certfile ssl-keyfile", "token-file", "for encryption put a proxy in front (docs/deployment.md)"},
	{"type to target", "format", "use --format onnx or --format safetensors"},
	{"output o out outfile output-file save", "json", "results go to standard output: --json > VALUE"},
	{"file input images image img photo picture source path", "prepare", "images stand without a flag: gputrain predict VALUE"},
}

// foreignCommands lists words that people type for commands, and the commands that they
// mean.
var foreignCommands = []struct {
	parent string // the command before the word
	names  string // words, separated by spaces
	use    string
}{
	{"gputrain", "fit learn training run start", "train"},
	{"gputrain", "resume continue", "train --resume"},
	{"gputrain", "finetune fine-tune transfer", "train --from RUN"},
	{"gputrain", "test evaluate evaluation validate val score accuracy", "eval"},
	{"gputrain", "infer inference classify recognize recognise ask", "predict"},
	{"gputrain", "convert save onnx", "export"},
	{"gputrain", "load", "import"},
	{"gputrain", "server deploy api web webui ui app", "serve"},
	{"gputrain", "model networks summary architectures", "models"},
	{"gputrain", "dataset datasets inspect", "data"},
	{"gputrain", "find-lr lr-find lr-finder lr_find find_lr find_rate tune", "find-rate"},
	{"gputrain", "plot plots visualize visualise html", "report"},
	{"gputrain", "benchmark speed", "bench"},
	{"gputrain", "check selftest", "verify"},
	{"gputrain", "device gpu gpus cuda", "devices"},
	{"gputrain", "completions autocomplete", "completion"},
	{"gputrain", "version v", "--version"},
	{"gputrain models", "list ls", "gputrain models"},
	{"gputrain", "recipe presets preset configs config", "recipes"},
	{"gputrain recipes", "list ls", "gputrain recipes"},
	{"gputrain recipes", "info describe print cat", "show"},
	{"gputrain models", "summary info describe print draw", "show"},
}

// instead tells what to use instead of a flag that this command doesn't have. It
// returns "" if that isn't known.
func (a *app) instead(c *cli.Context, typed string) string {
	name := strings.ToLower(strings.ReplaceAll(strings.TrimLeft(typed, "-"), "_", "-"))
	for _, f := range foreignFlags {
		if !slices.Contains(strings.Fields(f.names), name) || flagNamed(c.Command.Flags, f.here) == nil {
			continue
		}
		value := a.valueOf(typed)
		if value == "" {
			value = strings.ToUpper(name)
		}
		return strings.ReplaceAll(f.use, "VALUE", value)
	}
	return ""
}

// valueOf returns the value of an unknown flag in the command line, quoted for the
// shell. It returns "" if there is none.
func (a *app) valueOf(typed string) string {
	for i, word := range a.args {
		flag, value, ok := strings.Cut(word, "=")
		switch {
		case flag != typed:
		case ok:
			return quoted(value)
		case i+1 < len(a.args) && !strings.HasPrefix(a.args[i+1], "-"):
			return quoted(a.args[i+1])
		}
	}
	return ""
}

// foreignGPU matches the names of GPUs in other programs, with their numbers.
var foreignGPU = regexp.MustCompile(`^(?i:gpu|nvidia|cuda)?[:\-]?([0-9]*)$`)

// chooseDevice returns an error if name is not one of the choices for a device.
func chooseDevice(name string, choices []string) error {
	m := foreignGPU.FindStringSubmatch(name)
	if m == nil || name == "" || slices.Contains(choices, name) {
		return choose("device", name, choices)
	}
	gpu := "cuda"
	if m[1] != "" {
		gpu += ":" + m[1]
	}
	return usagef("--device: unknown %q: an NVIDIA GPU is %s; want %s", name, gpu, orList(choices))
}

// noteVariables warns of environment variables that look like ours but are unknown.
func (a *app) noteVariables(environ []string, commands []*cli.Command) {
	known := []string{tokenVariable, driver.SearchVariable, mpi.LibraryVariable, groupVariable, envPrefix + "CPU", envPrefix + "SIM"}
	var walk func([]*cli.Command)
	walk = func(commands []*cli.Command) {
		for _, c := range commands {
			for _, f := range c.Flags {
				known = append(known, f.(cli.DocGenerationFlag).GetEnvVars()...)
			}
			walk(c.Subcommands)
		}
	}
	walk(commands)
	ours := make([]string, len(known))
	for i, name := range known {
		ours[i] = strings.TrimPrefix(name, envPrefix)
	}
	for _, entry := range slices.Sorted(slices.Values(environ)) {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, envPrefix) && !slices.Contains(known, name) && !notForUs.MatchString(name) {
			meant := strings.Replace(suggest(strings.TrimPrefix(name, envPrefix), ours), "mean ", "mean "+envPrefix, 1)
			a.note(fmt.Sprintf("the environment sets %s, which no command knows%s", name, meant))
		}
	}
}

// notForUs matches variables with our prefix that are for others: for tests, or from
// Kubernetes and Docker. These set such variables for services whose names begin with
// gputrain.
var notForUs = regexp.MustCompile(`^GPUTRAIN_(TEST_.*|(.*_)?SERVICE_(HOST|PORT)(_.*)?|(.*_)?PORT(_[0-9]+_(TCP|UDP)(_.*)?)?)$`)

# `make help` lists the targets.
GO    ?= go
TOOL   = $(GO) tool -modfile=tools/go.mod
# The systems that `check` checks types for, and `cross` builds for, without cgo.
CROSS  = linux/amd64 linux/arm64 darwin/arm64 windows/amd64
FUZZTIME ?= 30s

.DEFAULT_GOAL := help
.PHONY: help build test race cuda check-cuda cuda-long test-gpu gpu-kit sim noasm check generate check-generated fuzz bench bench-peers vuln cross ptx check-ptx check-abi check-descriptors roofline

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# -trimpath alone leaves one trace of the folder in a CUDA build: the build id. So that is emptied.
build: ## Build bin/gputrain, with CUDA where there is a C compiler
	@place=$$($(GO) env GOOS)/$$($(GO) env GOARCH) cc=$$($(GO) env CC | cut -d' ' -f1) why=; \
	case $$place in linux/amd64|linux/arm64) ;; *) why="CUDA is for Linux on amd64 and arm64, not $$place";; esac; \
	[ "$$($(GO) env CGO_ENABLED)" = 1 ] || why="$${why:-cgo is off: by CGO_ENABLED=0, for another place, or without a C compiler}"; \
	command -v "$$cc" >/dev/null || why="$${why:-there is no C compiler $$cc}"; \
	if [ -n "$$why" ]; then \
	  echo "bin/gputrain: without CUDA ($$why)"; \
	  CGO_ENABLED=0 $(GO) build -trimpath -o bin/gputrain ./cmd/gputrain; \
	else \
	  echo "bin/gputrain: with CUDA, by the C compiler $$cc (CGO_ENABLED=0 leaves it out)"; \
	  $(CUDA_ENV) $(GO) build -trimpath -ldflags=-buildid= -tags cuda -o bin/gputrain ./cmd/gputrain; \
	fi

# With a C compiler all packages are tested once, with the CUDA path. Then those follow that are other ones without it.
# `go test` would run a part of go vet; check and check-cuda run all of it.
test: ## Run every test; with a C compiler also those of the CUDA path, on the simulated machine
	@if command -v gcc >/dev/null; then set -ex; \
	$(CUDA_ENV) $(TOOL) gotestsum --format pkgname -- -vet=off -timeout 25m -tags cuda ./...; \
	$(TOOL) gotestsum --format pkgname -- -vet=off -timeout 25m ./cuda/... ; \
	$(TOOL) gotestsum --format pkgname -- -vet=off -run 'CUDA|GPUs|Devices|Help|Usage' ./cmd/gputrain; \
	else $(TOOL) gotestsum --format pkgname -- -vet=off -timeout 25m ./...; \
	echo "not run: the tests of the CUDA path, which need a C compiler (gcc, and g++ for the simulator)"; fi

# Elsewhere the detector can't find anything, and it makes sums ten times as slow. Go compiles everything anew for it, and
# links each package's tests. So only those packages are raced whose code or tests start a goroutine, or share something.
# Package devicetest does so only for faulty devices of its tests.
RACED = $(GO) list -f '{{.ImportPath}} {{.Dir}}' ./... | while read -r package dir; do \
	  grep -qE '^[[:space:]]*(go [A-Za-z.]+\(|"sync"|"sync/atomic")|\.Go\(|errgroup\.' "$$dir"/*.go && echo "$$package"; done | grep -v '/devicetest$$'

# The commands run one after the other what other packages do; these tests are of what they do at the same time.
RACED_COMMANDS ?= Interrupt|Serve|Terminal|Hangup|Standard|Stream|Progress|TensorBoard|FindRate|GPUs|Endless|Bench$$

# Long tests that compare numbers. Shorter tests start the same goroutines, and these are raced.
UNRACED ?= Winograd$$|KnownLabels|FashionMNIST|ReadBack|ImportedProbabilities|ExampleLoad|MayFail$$|OwnConvolutions|EveryKernel|Epilogues|TurnValues|MuonStacks|Forms$$

race: ## Run the short tests of all packages with goroutines under the race detector (needs a C compiler)
	$(TOOL) gotestsum --format pkgname -- -vet=off -race -short -timeout 25m -skip '$(UNRACED)' $$($(RACED) | grep -vE '/gputrain/(cuda(/|$$)|cmd/)')
	$(TOOL) gotestsum --format pkgname -- -vet=off -race -short -timeout 25m -run '$(RACED_COMMANDS)' ./cmd/gputrain
	$(CUDA_ENV) $(TOOL) gotestsum --format pkgname -- -vet=off -race -short -timeout 25m -skip '$(UNRACED)' -tags cuda $$($(RACED) | grep -E '/gputrain/cuda(/|$$)')

# A build with CUDA needs a C compiler and our own declarations of CUDA, and nothing of NVIDIA's.
CUDA_ENV = CGO_ENABLED=1 CGO_CFLAGS="-g -O2 -I$(CURDIR)/cuda/driver/include"

check-cuda: ## go vet and staticcheck with the tag cuda (needs a C compiler)
	$(CUDA_ENV) $(GO) vet -tags cuda ./...
	$(CUDA_ENV) $(TOOL) staticcheck -tags cuda ./...

cuda: ## Test what builds with the tag cuda, on the simulated machine (needs a C compiler, no GPU)
	$(CUDA_ENV) $(TOOL) gotestsum --format pkgname -- -timeout 25m -tags cuda ./cuda/... ./bench
	$(CUDA_ENV) $(TOOL) gotestsum --format pkgname -- -tags cuda -run 'CUDA|GPUs|Devices|Help|Usage' ./cmd/gputrain

.PHONY: test-long
test-long: ## The long forms of tests that `make test` shortens: the compliance suite on slow devices and kernels, test-gpu on the simulated GPU, digits drawn in many ways, launches in all forms, the CPU device without assembly, builds for other systems
	GPUTRAIN_TEST_LONG=1 $(GO) test -timeout 30m -run "Passes|TestReference|TestCompliance$$" ./net/devicetest ./cpu
	GPUTRAIN_TEST_LONG=1 $(GO) test -timeout 30m -run TestDrawnDigits ./cmd/gputrain
	$(MAKE) --no-print-directory cross noasm NOASM="./cpu/... ./internal/cpufeat"
	@if command -v gcc >/dev/null; then set -x; GPUTRAIN_TEST_LONG=1 $(CUDA_ENV) $(GO) test -timeout 30m -tags cuda -run "TestCompliance$$|TestOnTheSimulator|TestLaunchesAreTheGraphs|TestSumsAreTheGroups" ./cuda ./cuda/testgpu ./bench; \
	else echo "not run: what needs the simulated GPU, and so a C compiler"; fi

cuda-long: ## Test package cuda with every fault instead of a sample, and more schedules (about ten minutes)
	$(CUDA_ENV) GPUTRAIN_CUDA_LONG=1 GPUTRAIN_TEST_LONG=1 $(GO) test -timeout 60m -tags cuda ./cuda

test-gpu: ## Test everything on this machine's GPU, and write gpu-report.txt; fails where there is none (docs/gpu.md)
	@command -v "$$($(GO) env CC | cut -d' ' -f1)" >/dev/null || { echo "test-gpu needs a C compiler, to build with CUDA; or a kit (make gpu-kit) from a machine that has one" >&2; exit 1; }
	@CGO_ENABLED=0 $(GO) run ./cuda/testgpu $(TESTGPU)

gpu-kit: ## Build bin/gpu-kit, a folder with all that test-gpu needs, for a GPU's machine without Go or internet
	@CGO_ENABLED=0 $(GO) run ./cuda/testgpu -kit bin/gpu-kit

.PHONY: check-docker
check-docker: ## Lint Dockerfile.cuda and run its stages' commands in Debian roots (needs root, debootstrap, python3)
	tools/check-docker

.PHONY: check-deploy
check-deploy: ## Read the files in deploy with shellcheck and the code of Kubeflow, Kubernetes and Compose (fetches them; needs bash, and python3 with venv; ten minutes the first time)
	@GO="$(GO)" deploy/check/check

.PHONY: check-slurm
check-slurm: ## Run deploy/slurm.sh on CPUs in a Slurm of two nodes on this machine: interrupt it, and let it go on (needs root and apt-get)
	@GO="$(GO)" deploy/check/slurm

.PHONY: check-avx512
check-avx512: ## Test the AVX-512 kernels in an emulator (fetches it; needs Debian 12 on amd64, no root)
	@GO="$(GO)" tools/check-avx512

.PHONY: check-arm64
check-arm64: ## Test the kernels of arm64, and training with them, in an emulator (needs qemu-user, llvm and a C compiler for arm64, of Debian; two hours, SHORT=1 half a minute, PARTS=kernels for some)
	@GO="$(GO)" SHORT="$(SHORT)" PARTS="$(PARTS)" MODELS="$(MODELS)" tools/check-arm64

.PHONY: traffic
traffic: ## Print the memory traffic of training steps, by kernel, on the simulated GPU (minutes; RUN=resnet20/bf16 for some)
	$(CUDA_ENV) GPUTRAIN_TRAFFIC=1 $(GO) test -count=1 -v -timeout 60m -tags cuda -run "TestTraffic/$(RUN)" ./cuda

sim: ## Build the simulated CUDA machine, cuda/sim/build (needs g++)
	$(MAKE) --no-print-directory -C cuda/sim/src -j$$(nproc)

check-abi: ## Compare our declarations of CUDA with NVIDIA's own headers (fetches them; needs g++, pip and apt-get)
	$(GO) run ./cuda/driver/abi headers

check-descriptors: sim ## Compare the simulator's descriptors with the real cuDNN's (fetches it; needs g++ and pip)
	$(GO) run ./cuda/driver/abi descriptors

# Python packages that only checks need. They are installed in the user's cache.
ONNX_VENV = $${XDG_CACHE_HOME:-$$HOME/.cache}/gputrain/onnx-venv

.PHONY: check-onnx
GRAPHS ?= 200
check-onnx: ## Run exported networks in ONNX Runtime, also GRAPHS random ones (default 200) (fetches it; needs python3 with venv)
	python3 -m venv "$(ONNX_VENV)"
	"$(ONNX_VENV)/bin/pip" install --quiet --disable-pip-version-check -r onnx/testdata/requirements.txt
	GPUTRAIN_ONNX_PYTHON="$(ONNX_VENV)/bin/python" GPUTRAIN_TEST_GRAPHS="$(GRAPHS)" GPUTRAIN_TEST_SEED="$(SEED)" $(GO) test -count=1 -v -run Runtime ./onnx

.PHONY: check-mpi
check-mpi: ## Train in groups with Open MPI, MPICH and MPI 5's interface, also on four machines that are network namespaces; KILLS processes are killed (default 20) (needs root, apt-get and pip)
	KILLS="$(KILLS)" GO="$(GO)" net/parallel/mpi/check

.PHONY: check-graphs
check-graphs: ## Compare GRAPHS random graphs (default 200) with the reference: on the CPU, a fifth on the simulated GPU, as exported to Go, and in ONNX Runtime
	GPUTRAIN_TEST_GRAPHS="$(GRAPHS)" GPUTRAIN_TEST_SEED="$(SEED)" $(GO) test -count=1 -timeout 60m -v -run TestRandomGraphs ./cpu
	GPUTRAIN_TEST_GRAPHS="$$(( ($(GRAPHS) + 4) / 5 ))" GPUTRAIN_TEST_SEED="$(SEED)" $(CUDA_ENV) $(GO) test -count=1 -timeout 60m -tags cuda -run TestRandomGraphs ./cuda
	GPUTRAIN_TEST_GRAPHS="$(GRAPHS)" GPUTRAIN_TEST_SEED="$(SEED)" $(GO) test -count=1 -v -run TestRandomSteps ./internal/elsewhere
	$(MAKE) --no-print-directory check-onnx GRAPHS="$(GRAPHS)" SEED="$(SEED)"

FRAMEWORKS_VENV = $${XDG_CACHE_HOME:-$$HOME/.cache}/gputrain/frameworks-venv

.PHONY: check-frameworks
check-frameworks: GRAPHS = 50
check-frameworks: ## Train GRAPHS random graphs (default 50), each kind of layer and three models with gputrain and JAX, and compare optimisers with optax (fetches both; needs python3 with venv)
	python3 -m venv "$(FRAMEWORKS_VENV)"
	"$(FRAMEWORKS_VENV)/bin/pip" install --quiet --disable-pip-version-check -r net/agree/testdata/requirements.txt
	GPUTRAIN_JAX_PYTHON="$(FRAMEWORKS_VENV)/bin/python" GPUTRAIN_TEST_GRAPHS="$(GRAPHS)" GPUTRAIN_TEST_SEED="$(SEED)" $(GO) test -count=1 -timeout 60m -v -run TestJAX ./net/agree

.PHONY: check-report
check-report: ## Open the report's pages in Chromium, wide and narrow (needs chromium or google-chrome)
	@browser=$$(command -v chromium || command -v chromium-browser || command -v google-chrome) || { echo "check-report needs chromium or google-chrome" >&2; exit 1; }; \
	GPUTRAIN_CHROMIUM="$$browser" $(GO) test -count=1 -v -run InBrowser ./internal/runreport

.PHONY: report-picture
report-picture: ## Write docs/report.png anew, the README's picture of a report (trains for minutes; needs chromium, and pngquant for a small file)
	@docs/report-picture $(RUN)

.PHONY: tutorial-pictures
tutorial-pictures: ## Write docs/tutorial anew, the tutorial's pictures (trains for minutes; RUN=FOLDER takes an existing run)
	@docs/tutorial-pictures $(RUN)

TENSORBOARD_VENV = $${XDG_CACHE_HOME:-$$HOME/.cache}/gputrain/tensorboard-venv

.PHONY: check-tensorboard
check-tensorboard: ## Read runs' event files with TensorBoard (fetches it; needs python3 with venv)
	python3 -m venv "$(TENSORBOARD_VENV)"
	"$(TENSORBOARD_VENV)/bin/pip" install --quiet --disable-pip-version-check -r tensorboard/testdata/requirements.txt
	GPUTRAIN_TENSORBOARD_PYTHON="$(TENSORBOARD_VENV)/bin/python" $(GO) test -count=1 -v -run TestTensorBoard ./cmd/gputrain

IMPORT_VENV = $${XDG_CACHE_HOME:-$$HOME/.cache}/gputrain/import-venv
FAMILIES ?= torchvision more timm keras light

.PHONY: check-import
check-import: ## Read ONNX models of FAMILIES of networks (default torchvision more timm keras light), train and write them, and compare with ONNX Runtime (fetches them, 6 GB; needs python3 with venv; an hour or more)
	python3 -m venv "$(IMPORT_VENV)"
	"$(IMPORT_VENV)/bin/pip" install --quiet --disable-pip-version-check -r onnx/testdata/requirements-import.txt
	dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && mkdir "$$dir/models" "$$dir/cases" && \
	"$(IMPORT_VENV)/bin/python" onnx/testdata/models.py "$$dir/cases" operators && "$(IMPORT_VENV)/bin/python" onnx/testdata/models.py "$$dir/models" $(FAMILIES) && \
	GPUTRAIN_ONNX_PYTHON="$(IMPORT_VENV)/bin/python" GPUTRAIN_ONNX_CASES="$$dir/cases" GPUTRAIN_ONNX_MODELS="$$dir/models" $(GO) test -count=1 -timeout 120m -v -run 'TestImported|TestOperators' ./onnx

WEIGHTS_VENV = $${XDG_CACHE_HOME:-$$HOME/.cache}/gputrain/weights-venv

.PHONY: check-weights
check-weights: ## Import models of torchvision, timm and PyTorch, and compare their answers (fetches them, 5 GB; needs python3 with venv)
	python3 -m venv "$(WEIGHTS_VENV)"
	"$(WEIGHTS_VENV)/bin/pip" install --quiet --disable-pip-version-check -r cmd/gputrain/testdata/weights/requirements.txt
	GPUTRAIN_TORCH_PYTHON="$(WEIGHTS_VENV)/bin/python" $(GO) test -count=1 -timeout 60m -v -run TestTorchWeights ./cmd/gputrain

# All files that are others without assembly are in these packages, and they import next to nothing. For package cpu Go
# would compile gonum and tensor anew, which have such files too; its tests force the portable kernels by themselves.
NOASM = ./cpu/asm ./internal/cpufeat

noasm: ## Run the tests of what is different without assembly (NOASM='./cpu/... ./internal/cpufeat' for the CPU device as well)
	$(TOOL) gotestsum --format pkgname -- -vet=off -short -tags noasm $(NOASM)

check: crosscheck ## gofmt, go vet and staticcheck, with and without assembly; types on other systems
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$unformatted" ]; then echo "gofmt would change: $$unformatted" >&2; exit 1; fi
	$(GO) mod verify
	$(GO) mod tidy -diff
	for peer in gorgonia gomlx; do $(GO) -C bench/peers/$$peer mod tidy -diff || exit 1; done # they require what we do
	$(GO) vet ./...
	$(GO) vet -tags noasm $(NOASM)
	$(TOOL) staticcheck ./...
	$(TOOL) staticcheck -tags noasm $(NOASM)
	$(TOOL) staticcheck -tags chromium ./serve ./internal/elsewhere
	GOOS=js GOARCH=wasm $(GO) vet ./internal/elsewhere/engine
	GOOS=linux $(GO) -C tools vet ./guest ./crosscheck # of another module than ./...

# The system that the tests run on is left out: its packages are compiled anyway.
.PHONY: crosscheck
crosscheck: ## Check the types of every package and its tests for the places in CROSS (`make cross` builds them)
	$(GO) -C tools run ./crosscheck $(filter-out $(shell echo $$($(GO) env GOHOSTOS)/$$($(GO) env GOHOSTARCH)),$(CROSS))

cross: ## Build every package for every place in CROSS, without cgo
	@for p in $(CROSS); do echo "build $$p"; GOOS=$${p%/*} GOARCH=$${p#*/} CGO_ENABLED=0 $(GO) build ./... || exit 1; done

ptx: ## Compile kernels/*.cu to the committed PTX (needs nvcc 11.8)
	$(GO) run ./kernels/internal/ptxtool build kernels

check-ptx: ## Assemble the committed PTX for sm_75, sm_80 and sm_90 (needs ptxas)
	$(GO) run ./kernels/internal/ptxtool assemble kernels

generate: ## Write the generated files anew (assembly, the table in docs/arm64.md, trampolines, and with the Go that made it the engine of exported pages)
	$(GO) generate ./...

GENERATED = cpu/asm cuda/driver docs/arm64.md internal/elsewhere/browser

check-generated: generate ## Fail if a generated file in git is not what `generate` writes
	@changed=$$(git status --porcelain $(GENERATED)); if [ -n "$$changed" ]; then echo "generated files are not current:" >&2; echo "$$changed" >&2; git diff --stat -- $(GENERATED) >&2; exit 1; fi

fuzz: ## Fuzz every parser, FUZZTIME (default 30s) each
	@$(GO) list -f '{{.Dir}}' ./... | while read -r dir; do \
	  for f in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9]+)\(.*/\1/p' "$$dir"/*_test.go 2>/dev/null); do \
	    echo "fuzz $$f in $$dir"; (cd "$$dir" && $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x .) || exit 1; \
	  done; \
	done

bench: ## Time the training step, its parts and its kernels on the CPU
	$(GO) test -run '^$$' -bench . -benchtime 1s ./cpu/... ./bench

.PHONY: bench-compare
OLD ?= HEAD
bench-compare: ## Compare the benchmarks of revisions OLD and NEW, or of OLD and the working tree (BENCH=regexp COUNT=10 PACKAGES=)
	@GO="$(GO)" BENCH="$(BENCH)" COUNT="$(COUNT)" PACKAGES="$(PACKAGES)" BENCHTIME="$(BENCHTIME)" bench/compare "$(OLD)" "$(NEW)"

roofline: ## Write bench/gpu-roofline.md anew: what a GPU could do, on paper
	$(GO) test ./bench -run TestGPURooflineIsCurrent -update

CHECKPOINT ?= runs/run-1
.PHONY: check-page bench-serve check-serve-memory
check-page: ## Draw digits and show pictures on the page of `serve` in Chromium, and on an exported one (needs it, and a trained run, CHECKPOINT)
	@command -v chromium || command -v chromium-browser || command -v google-chrome || { echo "check-page needs chromium or google-chrome" >&2; exit 1; }
	GPUTRAIN_TEST_CHECKPOINT="$$(realpath $(CHECKPOINT))" $(GO) test -tags chromium -count=1 -v -run 'TestPage|TestExportedPage' ./serve ./internal/elsewhere

bench-serve: ## Time `serve` under 50 clients, beside inference without a server; compare 10,000 answers with predict's
	$(GO) test -run '^$$' -bench Serve -benchtime 10000x ./cmd/gputrain

DURATION ?= 5m
check-serve-memory: ## Watch the memory of `serve` under 50 clients for DURATION; fails if it grows
	GPUTRAIN_TEST_MEMORY=$(DURATION) $(GO) test -count=1 -v -timeout 0 -run TestServeMemory ./cmd/gputrain

PEERS ?= tensorflow jax onnxruntime openvino gorgonia gomlx
bench-peers: ## Install the frameworks named in PEERS for bench/peers (default: all except torch, which takes 5 GB)
	@GO="$(GO)" bench/peers/install $(PEERS)

vuln: ## Look for known vulnerabilities (needs the Go vulnerability database)
	$(TOOL) govulncheck ./...

// Package agree holds what this project computes to another framework: its test
// trains networks on the CPU device and in JAX, and compares losses and weights.
//
// JAX shares no code with this project. It builds each network from its JSON and
// its safetensors file, in testdata/agree.py, with the functions written from
// their definitions and with its own gradients, in float64.
//
// Another test compares updates of every optimiser, and lookahead, with those of
// optax, by testdata/optimizers.py: with the same gradients, in float64.
//
// `make check-frameworks` fetches JAX and optax and runs the tests. Without them
// they are skipped.
package agree

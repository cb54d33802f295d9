// Package bench tells how fast networks train and infer on devices, and how fast they could: what a step costs by its
// layers (operations, bytes, launches), and what the machine allows (arithmetic, memory, launches).
package bench

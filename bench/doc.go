// Package bench tells how fast networks train and infer on devices, and how fast they could: what a step costs by its
// layers (operations, bytes, launches), and what the machine allows (arithmetic, memory, launches).
//
// [Run] measures devices, and other frameworks beside them (package peers); a [Report] is tables, JSON, CSV, a page with
// plots. [Launches] and [GPU] are a GPU's step on paper.
package bench

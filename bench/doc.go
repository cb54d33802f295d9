// Package bench measures how fast networks train and infer on devices. It also calculates how fast they could be, from
// what each layer costs (operations, bytes, launches) and from the limits of the machine (arithmetic, memory, launches).
//
// [Run] measures devices, and other frameworks beside them (package peers); a [Report] is tables, JSON, CSV, a page with
// plots. [Launches] and [GPU] are a GPU's step on paper.
package bench

// Package bench measures how fast networks train and infer on devices. It also calculates how fast they could be, from
// what each layer costs (operations, bytes, launches) and from the limits of the machine (arithmetic, memory, launches).
//
// [Run] measures devices, and other frameworks beside them (package peers). It returns a [Report], which can be written
// as tables, JSON, CSV or a page with plots. [ToAccuracy] measures how long whole training runs take to a test accuracy.
// [Launches] and [GPU] calculate a GPU's step, [Scaling] that of several GPUs.
package bench

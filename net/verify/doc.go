// Package verify judges a device by exact arithmetic: it compares what the
// device computed with what [github.com/gputrain/gputrain/net/reference]
// computes in float64, within bounds on what rounding to float32 can change.
//
// Some activation functions, max pooling and L2 pooling have kinks, where the
// derivative jumps:
//
//   - an activation function where [net.Function] says so, such as ReLU at 0;
//   - max pooling where a window has two greatest values;
//   - L2 pooling where all of a window's values are 0. The gradient with respect to a
//     value x of a window with norm y is dy*x/y. With one value to a window that is dy
//     times the sign of x. With several it depends on how the values compare, however
//     small they all are.
//
// Where a value lies within rounding of a kink, float32 and float64 rightly fall on
// different sides, and one element of a gradient is wholly different though nobody is
// wrong. Two habits keep that out:
//
//   - Layers are judged by replay. The reference's layer takes the device's own
//     outputs of the layers before, and the device's own gradient of its output, so
//     that both decide on identical inputs. Where a device fuses layers and has no
//     such values to show, the group is replayed as a whole; among values that are
//     equal in float64 it may have chosen any.
//   - Whatever runs through more than one layer (a fused group, the whole network, a
//     training step) is judged on samples that keep clear of every kink: see
//     [Judge.Choose]. Where there are none, [Network] judges by replay alone, and
//     Report.EndToEndSkipped says so. That is no failure: a report with failures is
//     of a device that computes something wrong.
//
// The bounds are explained at [Roundoff] and at the functions of bound.go.
package verify

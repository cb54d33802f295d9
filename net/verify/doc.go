// Package verify judges a device by exact arithmetic: it compares what the
// device computed with what [github.com/gputrain/gputrain/net/reference]
// computes in float64, within bounds on what rounding to float32 can change.
//
// Some activation functions ([net.Function] lists their kinks) and max pooling have
// kinks. Where a value lies within rounding of one, float32 and float64 rightly
// fall on different sides, and one element of a gradient is wholly different though
// nobody is wrong. Two habits keep that out:
//
//   - Layers are judged by replay. The reference's layer takes the device's own
//     outputs of the layers before, and the device's own gradient of its output, so
//     that both decide on identical inputs. Where a device fuses layers and has no
//     such values to show, the group is replayed as a whole; among values that are
//     equal in float64 it may have chosen any.
//   - Whatever runs through more than one layer (a fused group, the whole network, a
//     training step) is judged on samples that keep clear of every kink: see
//     [Judge.Choose]. Where there are none, [Network] judges by replay alone and
//     says so.
//
// The bounds are explained at [Roundoff] and at the functions of bound.go.
package verify

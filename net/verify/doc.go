// Package verify checks the results of a device. It compares them with those of
// [github.com/gputrain/gputrain/net/reference], which computes in float64. Differences must
// stay within bounds on what rounding to float32 can change.
//
// Some activation functions, max pooling and L2 pooling have kinks, where the
// derivative jumps:
//
//   - an activation function where [net.Function] says so, such as ReLU at 0;
//   - max pooling where a window has two greatest values;
//   - L2 pooling where all of a window's values are 0. The gradient with respect to a
//     value x of a window with norm y is dy*x/y. If the window has one value, that is dy
//     times the sign of x. If it has several, it depends on how the values compare,
//     however small they all are.
//
// If a value is within rounding of a kink, float32 and float64 may fall on different
// sides. Then an element of a gradient is completely different, although both are right.
// Two rules avoid that:
//
//   - Layers are judged by replay. The reference's layer takes the device's own outputs of
//     the layers before, and the device's own gradient with respect to its output. So both
//     decide on identical inputs. If a device fuses layers and has no such values to show,
//     the group is replayed as a whole. Among values that are equal in float64, the device
//     may choose any.
//   - Anything that spans more than one layer (a fused group, the whole network, a
//     training step) is judged on samples that are not near any kink: see [Judge.Choose].
//     If there are none, [Network] judges by replay alone, and Report.EndToEndSkipped says
//     so. The same holds if a device fails there and values lie exactly at kinks, as zeros
//     and copies make them: devices that convolve by transforms round also these. That is
//     no failure. A report has failures only if the device computes something
//     wrong.
//
// The bounds are explained at [Roundoff] and at the functions of bound.go.
package verify

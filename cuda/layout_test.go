//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"reflect"
	"testing"
	"unsafe"

	"gorgonia.org/cu"
	cudnn "gorgonia.org/cu/dnn"
)

// TestLayouts wants handles where this package reads and writes them: in the first field of types of gorgonia.org/cu, which are
// pointers. Of the types that this package makes by themselves they are the only field.
func TestLayouts(t *testing.T) {
	for _, c := range []struct {
		of   any
		name string
		only bool
	}{
		{cudnn.TensorDescriptor{}, "internal", false}, {cudnn.Filter{}, "internal", false}, {cudnn.Convolution{}, "internal", false},
		{cudnn.Activation{}, "internal", false}, {cudnn.Pooling{}, "internal", false}, {cudnn.Context{}, "internal", true},
		{cu.Stream{}, "s", true}, {cu.Event{}, "ev", true}, {cu.Module{}, "mod", true},
	} {
		of := reflect.TypeOf(c.of)
		first := of.Field(0)
		if first.Name != c.name || first.Offset != 0 || first.Type.Kind() != reflect.Pointer || first.Type.Size() != unsafe.Sizeof(uintptr(0)) {
			t.Errorf("%v begins with %s, a %v at %d; want the pointer %s", of, first.Name, first.Type, first.Offset, c.name)
		}
		if c.only && of.NumField() != 1 {
			t.Errorf("%v has %d fields, want 1", of, of.NumField())
		}
	}
}

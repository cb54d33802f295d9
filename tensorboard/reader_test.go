package tensorboard_test

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"sort"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// event is an event as it was read back. Values are by tag.
type event struct {
	version    string
	step       int64
	time       float64
	graph      []byte
	scalars    map[string]float64
	histograms map[string][]byte
	images     map[string][]byte
	start      bool
}

// crc32c is CRC-32C by its definition, a bit at a time
// (RFC 3720, B.4: polynomial 0x1EDC6F41, reflected).
func crc32c(b []byte) uint32 {
	c := ^uint32(0)
	for _, x := range b {
		c ^= uint32(x)
		for range 8 {
			low := c & 1
			c >>= 1
			if low != 0 {
				c ^= 0x82f63b78
			}
		}
	}
	return ^c
}

func checkSum(t *testing.T, what string, b []byte, sum uint32) {
	t.Helper()
	c := crc32c(b)
	if want := (c>>15 | c<<17) + 0xa282ead8; sum != want {
		t.Fatalf("the checksum of the %s is %x, want %x", what, sum, want)
	}
}

// readEvents reads all event files of a folder, in the order of their names.
func readEvents(t *testing.T, dir string) (events []event) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "events.out.tfevents.*"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no event files in %s (%v)", dir, err)
	}
	sort.Strings(paths)
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for first := true; len(b) > 0; first = false {
			n := binary.LittleEndian.Uint64(b)
			checkSum(t, "length", b[:8], binary.LittleEndian.Uint32(b[8:]))
			checkSum(t, "event", b[12:12+n], binary.LittleEndian.Uint32(b[12+n:]))
			e := decodeEvent(t, b[12:12+n])
			if first != (e.version == "brain.Event:2") {
				t.Errorf("%s: version %q, first: %v", path, e.version, first)
			}
			events, b = append(events, e), b[16+n:]
		}
	}
	return events
}

// fields calls f for each field of a message: with v for varints and fixed numbers,
// with b for the rest.
func fields(t *testing.T, m []byte, f func(number int, v uint64, b []byte)) {
	t.Helper()
	for len(m) > 0 {
		number, kind, n := protowire.ConsumeTag(m)
		if n < 0 {
			t.Fatalf("no tag in %x", m)
		}
		m = m[n:]
		var v uint64
		var b []byte
		switch kind {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(m)
		case protowire.Fixed64Type:
			v, n = protowire.ConsumeFixed64(m)
		case protowire.Fixed32Type:
			var w uint32
			w, n = protowire.ConsumeFixed32(m)
			v = uint64(w)
		default:
			b, n = protowire.ConsumeBytes(m)
		}
		if n < 0 {
			t.Fatalf("field %d of type %d is cut short", number, kind)
		}
		f(int(number), v, b)
		m = m[n:]
	}
}

func decodeEvent(t *testing.T, m []byte) event {
	e := event{scalars: map[string]float64{}, histograms: map[string][]byte{}, images: map[string][]byte{}}
	fields(t, m, func(number int, v uint64, b []byte) {
		switch number {
		case 1:
			e.time = math.Float64frombits(v)
		case 2:
			e.step = int64(v)
		case 3:
			e.version = string(b)
		case 4:
			e.graph = b
		case 5:
			fields(t, b, func(_ int, _ uint64, b []byte) { decodeValue(t, b, &e) })
		case 7:
			fields(t, b, func(number int, v uint64, _ []byte) { e.start = number == 1 && v == 1 })
		default:
			t.Errorf("event with field %d", number)
		}
	})
	return e
}

func decodeValue(t *testing.T, m []byte, e *event) {
	var tag string
	fields(t, m, func(number int, v uint64, b []byte) {
		switch number {
		case 1:
			tag = string(b)
		case 2:
			e.scalars[tag] = float64(math.Float32frombits(uint32(v)))
		case 4:
			e.images[tag] = b
		case 5:
			e.histograms[tag] = b
		}
	})
}

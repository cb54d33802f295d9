package tensorboard

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gputrain/gputrain/internal/appendfile"
	"github.com/gputrain/gputrain/internal/protobuf"
)

// eventFile is a file of events: Event messages in the frames of TFRecord
// (https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details).
type eventFile struct{ file *appendfile.File }

// prefix begins the names of event files. The time in seconds follows. TensorBoard orders
// the files by it.
const prefix = "events.out.tfevents."

// RemoveFiles removes the event files of a run from its folder, and the folders that become
// empty.
func RemoveFiles(dir string) error {
	for _, folder := range []string{trainFolder, validationFolder, testFolder} {
		inside := filepath.Join(dir, folder)
		entries, err := os.ReadDir(inside)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), prefix) && err == nil {
				err = os.Remove(filepath.Join(inside, e.Name()))
			}
		}
		if err != nil {
			return fmt.Errorf("tensorboard: %w", err)
		}
		_ = os.Remove(inside) // stays if it holds anything else
	}
	return nil
}

// createEventFile begins a file in a folder, which is made if missing. The file's name comes
// after those of the files that are there.
func createEventFile(dir string) (*eventFile, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("tensorboard: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("tensorboard: %w", err)
	}
	second := time.Now().Unix()
	for _, e := range entries {
		var other int64
		if rest, ok := strings.CutPrefix(e.Name(), prefix); ok {
			if _, err := fmt.Sscanf(rest, "%d", &other); err == nil {
				second = max(second, other+1)
			}
		}
	}
	f, err := appendfile.Open(filepath.Join(dir, fmt.Sprintf("%s%010d.gputrain", prefix, second)), os.O_EXCL)
	if err != nil {
		return nil, fmt.Errorf("tensorboard: %w", err)
	}
	e := &eventFile{f}
	return e, e.write(0, func(m *protobuf.Message) { m.Text(eventFileVersion, "brain.Event:2") })
}

// The numbers of an Event's fields, and of a SessionLog's status
// (https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/event.proto).
const (
	eventTime        = 1
	eventStep        = 2
	eventFileVersion = 3
	eventGraph       = 4
	eventSummary     = 5
	eventSession     = 7

	sessionStatus = 1
	sessionStart  = 1
)

// write appends an event at a step. f fills it.
func (e *eventFile) write(step int64, f func(m *protobuf.Message)) error {
	var m protobuf.Message
	m.Double(eventTime, float64(time.Now().UnixNano())/1e9)
	m.Integer(eventStep, step)
	f(&m)
	if err := e.file.Append(frame(m)); err != nil {
		return fmt.Errorf("tensorboard: %w", err)
	}
	return nil
}

// frame returns a record of a TFRecord file: the length and its checksum, then the contents
// and their checksum. Numbers are little-endian.
func frame(contents []byte) []byte {
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, len(contents)+16), uint64(len(contents)))
	b = binary.LittleEndian.AppendUint32(b, masked(b))
	b = append(b, contents...)
	return binary.LittleEndian.AppendUint32(b, masked(contents))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// masked returns TFRecord's checksum: CRC-32C, rotated by 15 bits, plus a constant. So it
// also works for data that contain checksums.
func masked(b []byte) uint32 {
	c := crc32.Checksum(b, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

// remove closes and removes the file, and its folder if nothing else is in it.
func (e *eventFile) remove() {
	_ = e.file.Close()
	_ = os.Remove(e.file.Name())
	_ = os.Remove(filepath.Dir(e.file.Name()))
}

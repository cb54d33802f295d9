package runfolder

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gputrain/gputrain/internal/appendfile"
	"github.com/gputrain/gputrain/internal/regularfile"
	"github.com/gputrain/gputrain/net"
)

// Entry is one line of metrics.jsonl.
type Entry struct {
	Time  time.Time // zero for an epoch that only a checkpoint tells of, without a line
	Event net.Event
}

// encode returns an entry as a line.
func (e Entry) encode() ([]byte, error) {
	line, err := net.MarshalEvent(e.Event)
	if err != nil {
		return nil, err
	}
	if !e.Time.IsZero() {
		line = append(line[:len(line)-1], `,"time":"`...)
		line = append(e.Time.UTC().AppendFormat(line, time.RFC3339Nano), `"}`...)
	}
	return append(line, '\n'), nil
}

func decodeEntry(line []byte) (Entry, error) {
	event, err := net.UnmarshalEvent(line)
	if err != nil {
		return Entry{}, err
	}
	var at struct{ Time time.Time }
	if err := json.Unmarshal(line, &at); err != nil {
		return Entry{}, err
	}
	return Entry{at.Time, event}, nil
}

// ReadMetrics reads a run's metrics.jsonl, in the order in which things happened.
// If a kill or a power cut left the last line incomplete, it leaves that line
// out. If there is no file, the error wraps fs.ErrNotExist.
func ReadMetrics(dir string) ([]Entry, error) {
	path := filepath.Join(dir, MetricsFile)
	b, err := regularfile.Read(path)
	if err != nil {
		return nil, err
	}
	entries, err := parseMetrics(b)
	if err != nil {
		return nil, fmt.Errorf("%s: damaged: %w", path, err)
	}
	return entries, nil
}

func parseMetrics(b []byte) ([]Entry, error) {
	var entries []Entry
	for number := 1; ; number++ {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		if !whole {
			return entries, nil
		}
		e, err := decodeEntry(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		entries, b = append(entries, e), rest
	}
}

// Log is an observer that writes a line of metrics.jsonl for each event.
type Log struct{ file *appendfile.File }

// CreateLog makes an empty metrics.jsonl for a new run.
func CreateLog(dir string) (*Log, error) { return openLog(dir, os.O_TRUNC) }

func openLog(dir string, flags int) (*Log, error) {
	f, err := appendfile.Open(filepath.Join(dir, MetricsFile), flags)
	if err != nil {
		return nil, err
	}
	return &Log{f}, nil
}

// Observe writes a line for an event. The line of an epoch is on the disk before
// Observe returns, and so before the epoch's checkpoint.
func (l *Log) Observe(e net.Event) error {
	line, err := Entry{time.Now(), e}.encode()
	if err == nil {
		err = l.file.Append(line)
	}
	if _, ok := e.(net.EpochDone); ok && err == nil {
		err = l.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}

// Close closes the file.
func (l *Log) Close() error { return l.file.Close() }

package serve

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture"
)

// Options say how a Server serves. The zero value is good for one machine.
type Options struct {
	ClassNames  []string            // names of the classes where the checkpoint has none. They hold for the first checkpoint's data set only. A class without a name is called by its number
	Preparation picture.Preparation // how image files are prepared, unless a request asks for another way; empty or picture.Auto is the checkpoint's way
	Examples    *net.Dataset        // images that the page offers, at most 100, of the network's input, from the first checkpoint's data set; not offered for a network of other data or classes; may be nil

	MaxBatch int           // most images that are computed together; 0 is 64. Never more than the batch size in training
	MaxWait  time.Duration // the most that an idle device waits for more images, and no more than half a batch's time; 0 for 5 ms, below 0 for no wait
	Queue    int           // images that may wait; 0 for 1024

	MaxImages int   // most images in one request; 0 is 256. Never more than Queue
	MaxBody   int64 // bytes of a request's body; 0 for 8 MiB
	MaxPixels int   // most pixels of one image; 0 is 16 million. This is also how many pixels are decoded at a time; images of at most a sixteenth of it have a quarter more for themselves. A pixel takes some 30 bytes
	Memory    int64 // bytes of all bodies that are being read or decoded, at least MaxBody; 0 for 256 MiB, or MaxBody if that is more

	ReadTimeout  time.Duration // time limit from the end of a request's header to the end of its body; 0 is 30 s
	Timeout      time.Duration // time limit from there to the answer; 0 is 10 s
	DrainTimeout time.Duration // time limit for requests in flight when serving ends; 0 is 30 s

	Token         string   // if not empty, requests must have it: "Authorization: Bearer TOKEN"
	Hosts         []string // host names under which requests at a loopback address are answered without a token, besides localhost and this machine's own name
	NoActivations bool     // do without /v1/activations, the costliest request

	Log *slog.Logger // nil for no log
}

// maxExamples bounds the images that the page offers.
const maxExamples = 100

// complete sets what is zero to its default and refuses what makes no sense.
func (o Options) complete() (Options, error) {
	orDefault(&o.Preparation, picture.Auto)
	orDefault(&o.MaxBatch, 64)
	orDefault(&o.MaxWait, 5*time.Millisecond)
	orDefault(&o.Queue, 1024)
	orDefault(&o.MaxImages, min(256, o.Queue))
	orDefault(&o.MaxBody, 8<<20)
	orDefault(&o.MaxPixels, 16_000_000)
	orDefault(&o.Memory, max(256<<20, o.MaxBody))
	orDefault(&o.ReadTimeout, 30*time.Second)
	orDefault(&o.Timeout, 10*time.Second)
	orDefault(&o.DrainTimeout, 30*time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case o.MaxBatch < 1 || o.Queue < 1 || o.MaxImages < 1 || o.MaxBody < 1 || o.MaxPixels < 1 || o.ReadTimeout < 0 || o.Timeout < 0 || o.DrainTimeout < 0:
		return o, fmt.Errorf("serve: limits and time-outs must be positive")
	case o.MaxImages > o.Queue:
		return o, fmt.Errorf("serve: %d images in a request never fit a queue of %d", o.MaxImages, o.Queue)
	case o.Memory < o.MaxBody:
		return o, fmt.Errorf("serve: a body of %d bytes never fits %d bytes of memory", o.MaxBody, o.Memory)
	case o.Examples != nil && (o.Examples.Pixels == nil || o.Examples.Len() > maxExamples):
		return o, fmt.Errorf("serve: examples must be at most %d images of bytes", maxExamples)
	}
	var hosts []string
	for _, host := range o.Hosts {
		hosts = append(hosts, hostName(host))
	}
	if own, err := os.Hostname(); err == nil { // it may stand for a loopback address
		hosts = append(hosts, hostName(own))
	}
	o.Hosts = hosts
	return o, nil
}

func orDefault[T comparable](v *T, d T) {
	if *v == *new(T) {
		*v = d
	}
}

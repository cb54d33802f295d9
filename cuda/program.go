//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/lower"
)

// program is a compiled network. Its exported methods hand their work to the device's thread, which runs all the
// others.
type program struct {
	device  *Device
	given   *net.Plan
	plan    *net.Plan // the given one; for inference as if everything in it were frozen
	options net.Options
	closed  bool
	failed  error // the first error after which the program's memory can't be trusted

	lowered *lower.Program
	groups  []group        // groups[i] makes values[i+1]
	values  []*activations // [0] is the network's input; the last is the logits
	visible []visible      // indexed by node of the plan

	convolutions []*convLayer // those of the groups
	norms        []*batchNorm // those of the groups
	late         *parameter   // a bias that the loss adds to the logits, except in traces; nil if there is none

	parameters []*parameter // in the order of Plan.Params
	flat       flat
	muon       muon     // empty if nothing is updated by Muon
	memory     []Buffer // shared by activations, gradients and masks, or a buffer for each
	saved      int64    // bytes saved by sharing
	perSample  int64    // bytes that a sample of the mini-batch needs; 0: not planned yet
	slack      int64    // bytes that alignment may cost

	labels, losses, hits, probabilities Buffer
	others, shares                      Buffer // for samples with views: partners' labels, and the own labels' shares
	classWeights                        Buffer // the loss's class weights; empty: each is 1
	results, sums, scores               Buffer // all sums; those of training; those of an evaluation
	clip, squares                       Buffer
	result                              pinned // where sums and probabilities arrive

	workspaces  [lanes]Buffer
	branches    branches
	turns       []int  // see Turns
	group       *Group // nil if the program trains alone
	queue       *queue
	graphs      map[work]*graph
	warm        map[work]bool // work that has run once without a graph, and may be captured
	alike       map[work]bool // the same, for work with sums over a group; without what members have for themselves
	capturing   bool
	graphError  error // why the last capture failed; nil if it didn't
	failures    int   // captures that failed, one after the other
	works       int   // pieces of work that have been started without a graph
	nextCapture int   // captures wait until there were so many
	step        int64 // updates made or queued
	pending     int   // calls of Gradients since the last update
	swapped     bool  // the averages are in the place of the weights

	// What the device's thread is to do next. The functions are made once, so that a step allocates nothing.
	task    func() error
	batch   net.Batch
	share   net.Share
	perform func() error
	queues  struct{ step, gradients, update func() error }
}

// The sizes in bytes of the structures that kernels share with the host.
const (
	stateBytes  = int64(unsafe.Sizeof(kernels.StepState{}))
	queuedBytes = int64(unsafe.Sizeof(kernels.Queued{}))
	ratesBytes  = int64(unsafe.Sizeof(kernels.Rates{}))
	viewBytes   = int64(unsafe.Sizeof(kernels.View{}))
	sumsBytes   = int64(unsafe.Sizeof(kernels.Sums{}))
)

// newProgram makes a program: its graph, its memory and its initial state.
func newProgram(d *Device, plan *net.Plan, opts net.Options) (p *program, err error) {
	p = &program{device: d, given: plan, plan: opts.PlanFor(plan), options: opts, graphs: map[work]*graph{}, warm: map[work]bool{}, alike: map[work]bool{}}
	p.options.Images = nil
	p.group, _ = opts.Communicator.(*Group)
	p.perform = p.performTask
	p.queues.step, p.queues.gradients, p.queues.update = p.queueStep, p.queueGradients, p.queueUpdate
	defer func() {
		if err != nil {
			err = errors.Join(d.explain(p.fits(err)), p.release())
			p = nil
		}
	}()
	for _, q := range p.plan.Params {
		p.parameters = append(p.parameters, &parameter{Param: q})
	}
	if err := p.link(); err != nil {
		return p, err
	}
	if err := p.takeParameters(); err != nil {
		return p, err
	}
	if err := p.takeMemory(); err != nil {
		return p, err
	}
	if p.branches, err = newBranches(len(p.turns)); err != nil {
		return p, err
	}
	if p.queue, err = newQueue(p); err != nil {
		return p, err
	}
	if err := p.chooseAlgorithms(); err != nil {
		return p, err
	}
	return p, p.setState(net.InitialState(plan, opts.Seed, opts.Images))
}

// chooseAlgorithms chooses the algorithms of convolutions and dense layers for full mini-batches. It does so before any
// data set is uploaded. Otherwise a data set could take the memory that the workspaces need. Meanwhile it holds back some
// memory for streaming. So a data set that doesn't fit can still be streamed, unless memory is too short even for that.
func (p *program) chooseAlgorithms() (err error) {
	pool := p.device.pool
	margin, err := pool.take(int64(p.options.Batch)*p.stagedBytes(), "the samples of mini-batches on their way")
	if err != nil && !errors.Is(err, ErrOutOfMemory) {
		return err
	}
	defer func() { err = errors.Join(err, pool.give(margin)) }()
	for _, c := range p.convolutions {
		if c.needs() == [directions]bool{} {
			continue
		}
		if _, err := c.at(p.options.Batch); err != nil {
			return err
		}
	}
	for _, g := range p.groups {
		if d, ok := g.operation.(*dense); ok {
			if _, err := d.at(p.options.Batch); err != nil {
				return err
			}
		}
	}
	return nil
}

// Plan returns what the program was compiled from.
func (p *program) Plan() *net.Plan { return p.given }

// Options returns the options with which it was compiled, without Images.
func (p *program) Options() net.Options { return p.options }

// do runs f on the device's thread. It returns an error instead if the program is closed, or if an earlier error has
// made it unusable.
func (p *program) do(f func() error) error {
	if p.closed || p.device.closed {
		return net.ErrClosed
	}
	if p.failed != nil {
		return p.failed
	}
	p.task = f
	return p.device.thread.do(p.perform)
}

// performTask runs the task. If the GPU is lost, the program becomes unusable.
func (p *program) performTask() error {
	err := p.group.broken()
	if err == nil {
		err = p.task()
	} else {
		p.failed = err
	}
	if err != nil && p.failed == nil {
		if err = p.device.explain(err); errors.Is(err, ErrDeviceLost) {
			p.failed = err
		}
	}
	return err
}

// check returns an error for a batch that does not suit the plan, or that has more than most samples. A most of 0 is
// no limit.
func (p *program) check(b net.Batch, most int) error {
	if p.closed || p.device.closed {
		return net.ErrClosed
	}
	if err := b.Check(p.plan); err != nil {
		return err
	}
	if most > 0 && b.Len() > most {
		return fmt.Errorf("%w: %d samples, compiled for %d", net.ErrBatchSize, b.Len(), most)
	}
	return nil
}

// GraphError returns why work could not be captured as a graph. It then runs kernel by kernel: right, but slower. Later
// it is tried again. GraphError returns nil if nothing has failed since a graph was captured.
func (p *program) GraphError() error { return p.graphError }

// Close gives back all memory.
func (p *program) Close() error {
	if p.closed {
		return nil
	}
	p.closed = true
	p.device.programs = slices.DeleteFunc(p.device.programs, func(q *program) bool { return q == p })
	return p.device.thread.do(p.release)
}

// release gives back everything that has been taken.
func (p *program) release() error {
	pool := p.device.pool
	errs := []error{p.device.synchronizeLanes()} // work that failed may have left something on any of them
	for _, g := range p.graphs {
		errs = append(errs, g.close())
	}
	for _, g := range p.groups {
		errs = append(errs, g.close())
	}
	if p.queue != nil {
		errs = append(errs, p.queue.close())
	}
	errs = append(errs, p.branches.close())
	buffers := append(append([]Buffer{p.flat.values, p.flat.grads, p.flat.narrow, p.flat.kept, p.flat.rounded,
		p.flat.averages, p.flat.moments, p.muon.all, p.labels, p.others, p.shares, p.classWeights, p.losses, p.hits, p.probabilities, p.results, p.clip, p.squares},
		p.memory...), p.workspaces[:]...)
	for _, b := range buffers {
		errs = append(errs, pool.give(b))
	}
	pool.stats.Planned -= p.saved
	return p.device.ended(append(errs, p.result.close())...)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	stdnet "net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/internal/memlimit"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture"
	"github.com/gputrain/gputrain/serve"
)

var logLevels = []string{"debug", "info", "warn", "error"}

// tokenVariable is the environment variable that holds the token of serve.
const tokenVariable = envPrefix + "TOKEN"

func (a *app) serveCommand() *cli.Command {
	return &cli.Command{
		Name:      "serve",
		Usage:     "classify images over HTTP, and on a web page",
		UsageText: "gputrain serve [FLAGS] [RUN]",
		Description: `Open the printed address in a browser to draw a digit, or to drop, paste or take
pictures. Programs POST an image file, a form of image files, or JSON to
/v1/predict; /openapi.yaml describes the requests. Requests of several clients
are computed together.

When the checkpoint's file is replaced, the server loads the new one and loses
no request. SIGHUP makes it look at once. Ctrl-C ends it after the requests in
flight, a second Ctrl-C at once.

Everyone who can reach the address can use the server, unless there is a token,
in the file of --token-file or in GPUTRAIN_TOKEN. Clients then send the header
Authorization: Bearer TOKEN. For encryption put a proxy in front.

Examples:
  gputrain serve                                # the latest run
  gputrain serve --run run-3 --address :8080 --token-file token
  curl --data-binary @seven.png 'http://127.0.0.1:8080/v1/predict?top=3'
  curl -F a=@3.png -F b=@8.png http://127.0.0.1:8080/v1/predict`,
		Flags: append([]cli.Flag{
			trainedRunFlag(),
			runDataFlag(),
			&cli.StringFlag{Name: "prepare", Value: string(picture.Auto), EnvVars: env("prepare"), Category: "Data", Usage: "`HOW` files become input: " + orList(preparations())},
			&cli.StringFlag{Name: "address", Value: "127.0.0.1:8080", EnvVars: env("address"), Category: "Server", Usage: "listen at `HOST:PORT`; :PORT is every address of this machine"},
			&cli.StringFlag{Name: "token-file", EnvVars: env("token-file"), Category: "Server", Usage: "answer only clients that send the token in `FILE`"},
			&cli.StringSliceFlag{Name: "allow-host", EnvVars: env("allow-host"), Category: "Server", Usage: "without a token, answer at 127.0.0.1 for `HOST` too, not only for localhost and this machine's name"},
			&cli.BoolFlag{Name: "no-activations", EnvVars: env("no-activations"), Category: "Server", Usage: "don't show the layers' outputs for an image"},
			&cli.DurationFlag{Name: "reload", Value: 2 * time.Second, EnvVars: env("reload"), Category: "Server", Usage: "look for a new checkpoint every `TIME`; 0 is never"},
			&cli.IntFlag{Name: "max-batch", Value: 64, EnvVars: env("max-batch"), Category: "Limits", Usage: "compute at most `N` images together, and never more than in training"},
			&cli.DurationFlag{Name: "max-wait", Value: 5 * time.Millisecond, EnvVars: env("max-wait"), Category: "Limits", Usage: "wait at most `TIME`, and at most half the time of a batch, for more images to compute together"},
			&cli.IntFlag{Name: "queue", Value: 1024, EnvVars: env("queue"), Category: "Limits", Usage: "let at most `N` images wait"},
			&cli.StringFlag{Name: "max-body", Value: "8MiB", EnvVars: env("max-body"), Category: "Limits", Usage: "take bodies of at most `SIZE`"},
			&cli.IntFlag{Name: "max-pixels", Value: 16_000_000, EnvVars: env("max-pixels"), Category: "Limits", Usage: "take images of at most `N` pixels"},
			&cli.DurationFlag{Name: "timeout", Value: 10 * time.Second, EnvVars: env("timeout"), Category: "Limits", Usage: "give up a request after `TIME`"},
			&cli.StringFlag{Name: "log-level", Value: "info", EnvVars: env("log-level"), Usage: "log from `LEVEL` on: " + orList(logLevels) + "; info has each prediction"},
			&cli.BoolFlag{Name: "json", EnvVars: env("json"), Usage: "log as JSON"},
		}, deviceFlags()...),
		Action: a.serve,
	}
}

func (a *app) serve(c *cli.Context) (err error) {
	named, err := a.namedRun(c)
	if err != nil {
		return err
	}
	o, err := a.serveOptions(c)
	if err != nil {
		return err
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP) // before anybody knows of the server, because the signal would kill it
	defer signal.Stop(hangup)
	checkpoint, path, err := loadRun(c, named, "--run RUN")
	if err != nil {
		return err
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, net.LastCheckpoint)
	}
	if err := a.subjectOptions(c, &o, checkpoint, path); err != nil {
		return err
	}
	device, why, err := openDevice(c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, device.Close()) }()
	if os.Getenv("GOMAXPROCS") == "" {
		// While the CPU device keeps every thread busy, requests are read and answered
		// on one more thread. The system divides the cores among them.
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1))
	}
	s, err := serve.New(device, checkpoint, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	l, err := stdnet.Listen("tcp", c.String("address"))
	if err != nil {
		return cannotListen(c.String("address"), err)
	}
	total, whose := memlimit.Total()
	if w := memoryWarning(o, total, whose); w != "" {
		o.Log.Warn(w)
	}
	var f facts
	f.add("Checkpoint", path)
	f.add("Device", withReason(device, why))
	f.add("Page", "http://"+l.Addr().String()+"/")
	f.write(a.out)
	if tcp, ok := l.Addr().(*stdnet.TCPAddr); ok && !tcp.IP.IsLoopback() && o.Token == "" {
		o.Log.Warn("everybody who can reach this address can ask: --token-file keeps others out", "address", l.Addr().String())
	}
	watching, stop := context.WithCancel(c.Context)
	defer stop()
	go reloadAt(watching, hangup, s, path)
	if interval := c.Duration("reload"); interval > 0 {
		go s.Watch(watching, path, interval)
	}
	endsInOrder(c.Context)
	return s.Run(c.Context, l)
}

// serveOptions reads the flags.
func (a *app) serveOptions(c *cli.Context) (o serve.Options, err error) {
	if err := choosePreparation(c.String("prepare")); err != nil {
		return o, err
	}
	if err := choose("log-level", c.String("log-level"), logLevels); err != nil {
		return o, err
	}
	for _, name := range []string{"max-batch", "queue", "max-pixels"} {
		if c.Int(name) < 1 {
			return o, usagef("--%s must be at least 1, got %d", name, c.Int(name))
		}
	}
	for _, name := range []string{"reload", "max-wait", "timeout"} {
		if c.Duration(name) < 0 || name == "timeout" && c.Duration(name) == 0 {
			return o, usagef("--%s: %v is too short", name, c.Duration(name))
		}
	}
	body, err := humanize.ParseBytes(c.String("max-body"))
	if err != nil || body < 1 || body > 1<<40 {
		return o, usagef("--max-body: %q is not a size such as 8MiB", c.String("max-body"))
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.String("log-level"))); err != nil {
		return o, err
	}
	var handler slog.Handler = slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: level})
	if c.Bool("json") {
		handler = slog.NewJSONHandler(a.err, &slog.HandlerOptions{Level: level})
	}
	o = serve.Options{
		Preparation: picture.Preparation(c.String("prepare")), MaxBatch: c.Int("max-batch"), MaxWait: c.Duration("max-wait"),
		Queue: c.Int("queue"), MaxBody: int64(body), MaxPixels: c.Int("max-pixels"), Timeout: c.Duration("timeout"),
		NoActivations: c.Bool("no-activations"), Log: slog.New(handler),
	}
	if o.MaxWait == 0 {
		o.MaxWait = -1
	}
	if err := checkAddress(c.String("address")); err != nil {
		return o, err
	}
	if o.Hosts, err = allowedHosts(c.StringSlice("allow-host"), c.String("address")); err != nil {
		return o, err
	}
	o.Token, err = readToken(c.String("token-file"))
	return o, err
}

// memoryWarning says where requests may take more memory than there is; "" where they may
// not, or where nobody knows.
func memoryWarning(o serve.Options, total float64, whose string) string {
	const bodies = 256 << 20
	needs := 1.25*30*float64(o.MaxPixels) + max(bodies, float64(o.MaxBody)) // see serve.Options
	if total == 0 || needs < 0.75*total {
		return ""
	}
	return fmt.Sprintf("requests may take about %s of memory, and %s limit is %s: lower --max-pixels, or allow more memory",
		humanize.IBytes(uint64(needs)), whose, humanize.IBytes(uint64(total)))
}

// allowedHosts are the names of --allow-host, and the one in --address: it may stand for a
// loopback address.
func allowedHosts(allowed []string, address string) ([]string, error) {
	for _, host := range allowed {
		if host == "" || strings.ContainsAny(host, "/* ") {
			return nil, usagef("--allow-host: %q is no host name such as digits.example.org", host)
		}
	}
	if host, _, err := stdnet.SplitHostPort(address); err == nil && host != "" {
		return append(slices.Clone(allowed), host), nil
	}
	return allowed, nil
}

// readToken reads the token from a file. Without a file it takes it from the
// environment.
func readToken(file string) (string, error) {
	if file == "" {
		return os.Getenv(tokenVariable), nil
	}
	f, err := os.Open(file)
	if err != nil {
		return "", fileError(file, err)
	}
	defer f.Close()
	const most = 1 << 16 // a limit, because the token may come from a pipe
	b, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return "", fileError(file, err)
	}
	token := strings.TrimSpace(string(b))
	printed := func(r rune) bool { return r > ' ' && r <= '~' } // characters that a header can hold
	if token == "" || len(b) == most || strings.ContainsFunc(token, func(r rune) bool { return !printed(r) }) {
		return "", fmt.Errorf("%s: want a token on one line, of ASCII characters without spaces", file)
	}
	return token, nil
}

// subjectOptions tells the server what the run remembers: the names of the classes,
// how pictures are prepared, and where images for the page are. If the user named no
// data and these images can't be loaded, the run is served without them.
func (a *app) subjectOptions(c *cli.Context, o *serve.Options, saved *net.Checkpoint, path string) error {
	plan, err := saved.Network.Plan()
	if err != nil {
		return err
	}
	m := &model{checkpoint: saved, path: path, plan: plan}
	data, changed, err := a.runData(c, saved)
	if err == nil {
		err = checkFit(plan, data)
	}
	if err == nil {
		o.ClassNames = m.classNames(data)
		offerExamples(o, data)
		a.note(changed)
		return nil
	}
	o.ClassNames = m.classNames(nil)
	switch {
	case c.IsSet("data"):
		return err
	case saved.Subject != nil:
		a.note("no images to try are offered: " + err.Error())
	}
	return nil
}

// offerExamples offers images of the test set on the page: the first ones of the
// built-in MNIST, or some of every class of another data set.
func offerExamples(o *serve.Options, data *dataset) {
	const most = 20
	t := data.test
	if t.Pixels == nil || t.Shape.C != 1 && t.Shape.C != 3 {
		return
	}
	some := t.Slice(0, min(most, t.Len()))
	if data.folder != "" {
		some = net.Sample(t, most, 0)
	}
	examples := *some
	examples.Rows, examples.Pixels = nil, nil // copied together, so that a large data set need not stay in memory
	for i, n := int32(0), t.Shape.Size(); int(i) < some.Len(); i++ {
		examples.Pixels = append(examples.Pixels, some.Pixels[some.Row(i)*n:][:n]...)
	}
	o.Examples = &examples
}

// reloadAt loads the checkpoint again at each signal.
func reloadAt(ctx context.Context, signals <-chan os.Signal, s *serve.Server, path string) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
			_ = s.Reload(path) // the server logs the error
		}
	}
}

package serve

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are the figures of GET /metrics.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	images   prometheus.Counter
	batch    prometheus.Histogram
	infer    prometheus.Histogram
	waited   prometheus.Histogram
	reloads  *prometheus.CounterVec
	model    *prometheus.GaugeVec
}

func newMetrics() *metrics {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	f := promauto.With(r)
	seconds := prometheus.ExponentialBuckets(0.0005, 2, 16) // to 16 s
	return &metrics{
		registry: r,
		requests: f.NewCounterVec(prometheus.CounterOpts{Name: "gputrain_http_requests_total", Help: "Requests answered."}, []string{"route", "code"}),
		duration: f.NewHistogramVec(prometheus.HistogramOpts{Name: "gputrain_http_request_seconds", Help: "From a request's header to its answer.", Buckets: seconds}, []string{"route"}),
		images:   f.NewCounter(prometheus.CounterOpts{Name: "gputrain_images_total", Help: "Images that the network was asked about."}),
		batch:    f.NewHistogram(prometheus.HistogramOpts{Name: "gputrain_batch_images", Help: "Images computed together.", Buckets: prometheus.ExponentialBuckets(1, 2, 10)}),
		infer:    f.NewHistogram(prometheus.HistogramOpts{Name: "gputrain_batch_seconds", Help: "Time of a batch on the device.", Buckets: seconds}),
		waited:   f.NewHistogram(prometheus.HistogramOpts{Name: "gputrain_queue_seconds", Help: "Time that images waited for the device.", Buckets: seconds}),
		reloads:  f.NewCounterVec(prometheus.CounterOpts{Name: "gputrain_reloads_total", Help: "New checkpoints, by what came of them."}, []string{"result"}),
		model:    f.NewGaugeVec(prometheus.GaugeOpts{Name: "gputrain_model_info", Help: "1 for the network that answers."}, []string{"id", "name", "device"}),
	}
}

// watch adds the length of the queue.
func (m *metrics) watch(q *queue) {
	promauto.With(m.registry).NewGaugeFunc(prometheus.GaugeOpts{Name: "gputrain_queue_images", Help: "Images that wait for the device."},
		func() float64 { return float64(q.length()) })
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

func (m *metrics) answered(route string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	m.duration.WithLabelValues(route).Observe(took.Seconds())
}

func (m *metrics) computed(images int, took time.Duration) {
	m.images.Add(float64(images))
	m.batch.Observe(float64(images))
	m.infer.Observe(took.Seconds())
}

// serves tells which network answers from now on.
func (m *metrics) serves(model *Model) {
	m.model.Reset()
	m.model.WithLabelValues(model.ID, model.Name, model.Device).Set(1)
}

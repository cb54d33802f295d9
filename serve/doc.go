// Package serve classifies images over HTTP, with a trained network.
//
//	POST /v1/predict      one image file, several (multipart/form-data), or JSON arrays
//	POST /v1/activations  one image: also what each layer makes of it
//	GET  /v1/model        the network that answers
//	GET  /healthz         the process lives
//	GET  /readyz          it takes requests
//	GET  /metrics         figures for Prometheus
//	GET  /openapi.yaml    the description of all this
//	GET  /                a page to draw digits on, or to show pictures
//
// A [Server] is the [net/http.Handler] for a device and a checkpoint. Requests that
// come at the same time are computed together. Options bounds the memory that it
// takes for bodies, for images being decoded and for samples that wait. A client
// that meets a full queue gets status 429 and should ask again later.
package serve

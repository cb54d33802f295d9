package serve

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"
)

// problem is an answer that says what is wrong (RFC 9457).
type problem struct {
	status int
	detail string
	retry  time.Duration // when to come again; 0 for no word of it
}

func (p *problem) Error() string { return p.detail }

func problemf(status int, format string, a ...any) *problem {
	return &problem{status: status, detail: fmt.Sprintf(format, a...)}
}

// write answers with the problem.
func (p *problem) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if p.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(p.retry.Seconds()))))
	}
	w.WriteHeader(p.status)
	body, err := json.Marshal(map[string]any{
		"type": "about:blank", "title": http.StatusText(p.status), "status": p.status, "detail": p.detail,
	})
	if err != nil {
		panic(fmt.Sprintf("BUG: problem in JSON: %v", err))
	}
	_, _ = w.Write(body) // fails where the client has gone
}

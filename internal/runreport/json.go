package runreport

import (
	"encoding/json"

	"github.com/gputrain/gputrain/net"
)

// MarshalJSON writes a run's data, without pictures.
func (r *Run) MarshalJSON() ([]byte, error) {
	type plain Run // without this method
	c := r.Checkpoint
	return json.Marshal(struct {
		*plain
		Network    *net.Network      `json:"network"`
		Recipe     net.Recipe        `json:"recipe"`
		Device     string            `json:"device,omitempty"`
		Train      net.DatasetID     `json:"train"`
		Validation *net.DatasetID    `json:"validation,omitempty"`
		Position   net.Position      `json:"position"`
		Best       int               `json:"best,omitempty"`
		History    []net.EpochResult `json:"history"`
	}{(*plain)(r), c.Network, c.Recipe, c.Device, c.Train, c.Validation, c.Position, c.Best(), c.History})
}

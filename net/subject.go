package net

import (
	"fmt"
	"math"
)

// Subject says what a network's inputs are made of and what its answers mean.
// Checkpoints keep it, so that predictions need no other settings.
type Subject struct {
	Data       string   `json:"data"`                  // the data set's name, for people
	Folder     string   `json:"folder,omitempty"`      // absolute path of the data set's folder; "" is the built-in MNIST, or data that a program made
	ClassNames []string `json:"class_names,omitempty"` // by label
	// Scale is the factor of a sample's bytes: byte b stands for b*Scale. 0 means that
	// samples are not bytes. Then nobody knows how to turn pictures into samples.
	Scale float32 `json:"scale,omitempty"`
	// Prepare says how a picture becomes a sample: "digit", "stretch", "fit" or "crop".
	// Package picture defines these.
	Prepare string `json:"prepare,omitempty"`
	// Limit is the most samples that the run takes of each part of the data set. [Sample]
	// chooses them by the recipe's seed. 0 means all.
	Limit int `json:"limit,omitempty"`
	// SkipBad says that pictures that can't be read are left out.
	SkipBad bool `json:"skip_bad,omitempty"`
}

// check returns an error for a subject that no version has written. A nil Subject is
// fine.
func (s *Subject) check() error {
	if s == nil {
		return nil
	}
	if scale := float64(s.Scale); !(scale >= 0) || math.IsInf(scale, 0) {
		return fmt.Errorf("subject: scale %v", s.Scale)
	}
	if s.Limit < 0 {
		return fmt.Errorf("subject: limit of %d samples", s.Limit)
	}
	return nil
}

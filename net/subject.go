package net

import (
	"fmt"
	"math"
)

// Subject says what a network is about: what its inputs are made of and what its
// answers mean. A run remembers it, so that whoever asks the network needs to be told
// nothing.
type Subject struct {
	Data       string   `json:"data"`                  // the data set's name, for people
	Folder     string   `json:"folder,omitempty"`      // where it lies, an absolute path; "" is the built-in MNIST, or data that a program made
	ClassNames []string `json:"class_names,omitempty"` // by label
	// Scale is what a sample's byte is multiplied with; 0 where samples are no bytes, so
	// that nobody knows how pictures become such values.
	Scale float32 `json:"scale,omitempty"`
	// Prepare is how a picture becomes a sample: "digit", "stretch", "fit" or "crop", as
	// package picture has them.
	Prepare string `json:"prepare,omitempty"`
	// Limit is how many samples of each part of the data set the run takes at most, by
	// [Sample] and the recipe's seed; 0 is all.
	Limit int `json:"limit,omitempty"`
	// SkipBad says that pictures which can't be read are left out.
	SkipBad bool `json:"skip_bad,omitempty"`
}

// check refuses what no version has written.
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

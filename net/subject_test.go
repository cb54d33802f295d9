package net

import (
	"math"
	"testing"
)

func TestSubjectCheck(t *testing.T) {
	nan := float32(math.NaN())
	for _, c := range []struct {
		subject *Subject
		want    string
	}{
		{nil, ""},
		{&Subject{}, ""},
		{&Subject{Scale: 1. / 255, Limit: 5}, ""},
		{&Subject{Scale: -1}, "subject: scale -1"},
		{&Subject{Scale: nan}, "subject: scale NaN"},
		{&Subject{Scale: float32(math.Inf(1))}, "subject: scale +Inf"},
		{&Subject{Limit: -2}, "subject: limit of -2 samples"},
	} {
		got := ""
		if err := c.subject.check(); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%+v: error %q, want %q", c.subject, got, c.want)
		}
	}
}

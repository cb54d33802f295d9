package bench

import (
	"encoding/csv"
	"io"
	"strconv"
	"time"
)

// csvHead holds the names of the CSV columns. Times are in seconds, and memory is in bytes. Unknown values are empty.
var csvHead = []string{
	"date", "cpu", "model", "mode", "batch", "on", "version", "threads", "repeats", "batches_a_repeat",
	"seconds_median", "seconds_p10", "seconds_p90", "images_per_second", "time_ratio", "time_ratio_p10", "time_ratio_p90", "baseline",
	"multiply_adds", "share_of_peak", "peak_rss", "device_memory", "allocations", "allocated", "checked_against", "distance", "tolerance", "simulated",
}

// WriteCSV writes the measurements as CSV: first a row with the names of the columns, then a row for each measurement.
// Times are in seconds, and memory is in bytes. Unknown values are empty.
func (r *Report) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write(csvHead); err != nil {
		return err
	}
	for _, m := range r.Measurements {
		number := func(x float64) string {
			if !m.Timed() || x == 0 {
				return ""
			}
			return strconv.FormatFloat(x, 'g', 6, 64)
		}
		whole := func(n int64) string {
			if n == 0 {
				return ""
			}
			return strconv.FormatInt(n, 10)
		}
		always := func(x float64) string { return strconv.FormatFloat(x, 'g', 6, 64) }
		ours := func(n uint64) string {
			if m.Peer {
				return ""
			}
			return strconv.FormatUint(n, 10)
		}
		err := out.Write([]string{
			r.Machine.Date.UTC().Format(time.RFC3339), r.Machine.CPU, m.Model, string(m.Mode), strconv.Itoa(m.Batch), m.Who, m.Version, whole(int64(m.Threads)),
			whole(int64(len(m.Seconds))), whole(int64(m.Batches)),
			number(m.Time.Median), number(m.Time.Low), number(m.Time.High), number(m.Images.Median), number(m.Ratio.Median), number(m.Ratio.Low), number(m.Ratio.High), m.Baseline,
			whole(m.MulAdds), number(m.Share), whole(m.PeakRSS), whole(m.DeviceMemory), ours(m.Allocations), ours(m.Allocated),
			m.Check.Against, always(m.Check.Distance), always(m.Check.Tolerance), strconv.FormatBool(m.Simulated != ""),
		})
		if err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// Package elsewhere writes trained networks as programs that need nothing of gputrain: a Go package, and a page that
// classifies in the browser.
package elsewhere

// Package chart draws charts as SVG: lines, bars, heat maps.
//
// A drawing serves two places. Within a page (SVG) it has no background, and each
// element has a class (chart-text, chart-grid, series-1, ...), by which the page's
// style gives it colours, light or dark; package page does. As a file of its own
// (WriteFile) it is on white, in the colours of its attributes, which every viewer
// of SVG understands.
//
// Which font a viewer takes is unknown, so the room for text is that of the widest
// usual one: a text may stand looser than it must, but is never cut off. A point's
// value is shown where the pointer rests on it. Series differ in colour, dash and
// the form of their points, so that no colour alone tells them apart.
package chart

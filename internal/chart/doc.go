// Package chart draws charts as SVG: lines, bars, heat maps and graphs.
//
// A drawing has two uses. Within a page (SVG) it has no background. Its elements
// have classes (chart-text, chart-grid, series-1, ...), by which the page's style
// gives them colours for light and dark, as that of package page does. As a file
// (WriteFile) it is on white. Its colours are then in attributes, which every
// viewer of SVG understands.
//
// The viewer's font is unknown, so the room for text is that of the widest usual
// font. A text may have more room than it needs, but it is never cut off. When the
// pointer rests on a point, its value is shown. Series differ in colour, dash and
// the form of their points. So they can be told apart without colours.
package chart

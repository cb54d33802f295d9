// Package picture makes inputs of networks from image files: Decode or Read gives
// an image, a Preparation's Pixels the values of one sample.
package picture

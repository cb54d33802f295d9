// Package picture makes inputs of networks from image files. [Decode] and [Read] give an
// image of a JPEG, PNG, GIF, BMP, TIFF or WebP file, turned upright. [Preparation.Pixels]
// gives the values of one sample; [Preparation.PixelsTo] writes them where the caller
// wants them, for many. [Header] tells what a file says of its image, without decoding
// it. A [Classifier] asks a trained network what images show.
//
// Files are taken for what they contain, whatever their names. An error is one line that
// says what is wrong with a file, and errors.Is tells its kind.
package picture

// Package pictures opens people's own pictures as data sets: folders of classes, or a
// CSV file with paths and labels.
//
//	set, err := pictures.Open(ctx, "flowers", pictures.Options{})
//	defer set.Close()
//	// set.Train, set.Validation and set.Test are net.Datasets
//
// [OpenFS] does so for folders in a file system of Go's, such as an archive, and
// [FromImages] for images that a program has already. Both decode into memory.
//
// # Layouts
//
// [Open] knows three:
//
//	DIR/train/CLASS/*, DIR/validation/CLASS/*, DIR/test/CLASS/*
//	DIR/CLASS/*
//	FILE.csv
//
// Of the first one, train is what there must be. "training" may stand for train, "val" and
// "valid" for validation; capitals don't matter. A set that brings no validation set
// gets one tenth of the training pictures for it, and one without a test set another
// tenth, chosen by a seed and evenly from every class ([net.Split]).
//
// A CSV file has the columns path and label, perhaps split (train, validation or test;
// nothing means train), and a first line with these names. Paths are relative to the
// file's folder.
//
// Classes are named by their folders, or labels, and numbered in the order of their
// names, 2 before 10. Folders in a class's folder belong to the class. Symbolic links
// are followed. Files count as pictures by the ends of their names; hidden files and
// what systems leave in folders (Thumbs.db and such) are passed over. A class
// without a picture is left out. [Set.Notes] says all that was left out or chosen.
//
// # Samples
//
// Every picture is decoded, turned upright and brought to one size: the one that is
// asked for, or the one that all have, or a square of at most 64 x 64 pixels. Samples are
// bytes with a scale of 1/255. They have 3 channels, or 1 if every picture is grey.
//
// # Cache
//
// Decoded samples are kept in one file in the user's cache, which is mapped into memory.
// So a set may be larger than memory, and the next start decodes nothing: it compares
// names, sizes and times of the pictures with what the cache was made from. The file is
// made beside its place and moved there when it is whole: whenever a process or the
// machine stops, what is in place is whole or not there. Two processes that want the same
// file make it once. There is one file for a set and its options; when pictures change, it is
// replaced. [ClearCache] removes such files.
package pictures

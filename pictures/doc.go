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
// In the first layout only train must exist. It may also be called "training", and
// validation "val" or "valid"; capitals don't matter. If there is no validation set,
// a tenth of the training pictures becomes one. If there is no test set, another
// tenth does. They are chosen by a seed, from every class alike ([net.Split]).
//
// A CSV file has the columns path and label, perhaps split (train, validation or test;
// nothing means train), and a first line with these names. Paths are relative to the
// file's folder.
//
// Classes are named by their folders, or labels, and numbered in the order of their
// names, 2 before 10. Folders in a class's folder belong to the class. Symbolic links
// are followed. Files count as pictures by the ends of their names. Hidden files and
// what systems leave in folders (Thumbs.db and such) are passed over. A class without
// a picture is left out. [Set.Notes] lists what was left out and what was chosen.
//
// # Samples
//
// Every picture is decoded, turned upright and brought to one size: the one that is
// asked for, or the one that all have, or a square of at most 64 x 64 pixels. Samples are
// bytes with a scale of 1/255. They have 3 channels, or 1 if every picture is grey.
//
// # Cache
//
// Decoded samples are kept in one file in the user's cache, which is mapped into
// memory. So a set may be larger than memory. The next start compares names, sizes and
// times of the pictures with those that the file was made from; if they are the same,
// it decodes nothing. The file is written under another name and renamed when it is
// whole. So there is never half a file, whenever a process or the machine stops. If
// two processes want the same file, it is made once. Each set with its options has one
// file, which is replaced when pictures change. [ClearCache] removes such files.
package pictures

// Package pictures opens people's own pictures as data sets: folders of classes, or a
// CSV file with paths and labels.
//
//	set, err := pictures.Open(ctx, "flowers", pictures.Options{})
//	defer set.Close()
//	// set.Train, set.Validation and set.Test are net.Datasets
//
// [OpenFS] does the same for folders in an [io/fs.FS], such as an archive, and [FromImages]
// for images that a program has already. Both decode into memory.
//
// # Layouts
//
// [Open] knows three layouts:
//
//	DIR/train/CLASS/*, DIR/validation/CLASS/*, DIR/test/CLASS/*
//	DIR/CLASS/*
//	FILE.csv
//
// In the first layout only train must exist. It may also be called "training", and
// validation "val" or "valid"; capitals don't matter. If there is no validation set,
// a tenth of the training pictures becomes one. If there is no test set, another
// tenth does. A seed and the names of the files choose them, the same share of each class
// ([net.SplitByName]).
//
// The first line of a CSV file names its columns: path, label and perhaps split. A split
// is train, validation or test; an empty one means train. Paths are relative to the
// file's folder.
//
// The names of classes are those of their folders, or the labels. Classes are numbered in
// the order of their names, 2 before 10. Folders in a class's folder belong to the class.
// Symbolic links are followed. A file is a picture if its name ends like a picture's.
// Hidden files and those that systems leave in folders (Thumbs.db and such) are skipped. A
// class without a picture is left out. Set.Notes lists what was left out and what was
// chosen.
//
// # Samples
//
// Every picture is decoded, turned upright and brought to one size. That is the size in
// [Options]. If Options has none, it is the size of the pictures if all have the same and
// it is at most 128 x 128 pixels, else a square of at most 64 x 64. Samples are bytes with
// a scale of 1/255. They have 3 channels, or 1 if every picture is grey.
//
// # Cache
//
// Decoded samples are kept in one file in the user's cache, which is mapped into
// memory. So a set may be larger than memory. The next start compares the names, sizes and
// times of the pictures with those that the file was made from. If they are the same, it
// decodes nothing. The file is written under another name and renamed when it is complete.
// So there is never half a file, even if a process or the machine stops. If two processes
// want the same file, it is made once. Each set with its options has one file, which is
// replaced when pictures change. [ClearCache] removes such files.
package pictures

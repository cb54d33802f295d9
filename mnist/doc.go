// Package mnist reads labelled images into memory: the MNIST database, which is embedded
// in the program, and directories of files in the formats of MNIST (IDX) and CIFAR.
//
//	split, err := mnist.Tutorial()        // the embedded MNIST
//	split, err := mnist.Load("fashion", mnist.BySeed(1)) // a directory
//
// Both return a [Split]: a training, a validation and a test set, as [net.Dataset]s
// in NCHW order.
//
// # Directories
//
// Load recognises a data set by the names of the files in its directory.
//
// IDX: four files, of training and test images and labels, with the names that
// MNIST, Fashion-MNIST, KMNIST and EMNIST give them:
//
//	train-images-idx3-ubyte   t10k-images-idx3-ubyte
//	train-labels-idx1-ubyte   t10k-labels-idx1-ubyte
//
// A name may have "test" instead of "t10k", and ".idx3" instead of "-idx3". It may end
// in ".gz" and begin with the data set's name, as in
// emnist-letters-train-images-idx3-ubyte.gz. If a file is there under several names, the
// first in alphabetical order counts. The content decides whether a file is compressed,
// not its name.
//
// CIFAR-10 (binary version): data_batch_1.bin, data_batch_2.bin and so on without a
// gap, and test_batch.bin. CIFAR-100: train.bin and test.bin. Their labels are the 100
// classes; the 20 groups of classes are not used.
//
// # Images and labels
//
// Images of bytes become [net.Dataset.Pixels], with a Scale of 1/255 that brings them
// to [0, 1]. Images of any other element type become [net.Dataset.Values], rounded to
// float32 and not scaled: the type doesn't say in which range the values are. NaN and
// infinities are refused. An image file has the dimensions (N, rows, columns) or (N,
// channels, rows, columns).
//
// EMNIST's files store each image transposed. Files whose names begin with
// "emnist-" are transposed back, so that its letters stand upright, as MNIST's
// digits do.
//
// A label file has one dimension and an integer element type. The number of classes is
// the greatest training label plus 1, but at least 2, and at least the number of names in
// classes.txt or labels.txt (see below). Labels are never renumbered. So
// EMNIST's letters, whose labels are 1 to 26, have 27 classes, and class 0 has no
// sample. A test label outside the classes is an error. A training label can only be
// too great for a network with fewer classes: [Split.CheckLabels] finds such labels.
//
// # Names of classes
//
// A file classes.txt or labels.txt beside the images names the classes, one on each line.
// It must name every label of the training images. For IDX files it may name more; for
// CIFAR it must have exactly one name for each class. Without such a file, CIFAR's names
// come from batches.meta.txt or fine_label_names.txt, and EMNIST's from
// emnist-…-mapping.txt. MNIST and Fashion-MNIST are recognised by their labels, KMNIST
// and EMNIST by the names of files or folder. In all other cases the name of a class
// is its number.
//
// # Validation set
//
// A [Splitter] takes the validation set from the training images. [BySeed] chooses a
// tenth of each class, but no more than about 5,000 images in all. So the images may be
// sorted. [FirstTenth] takes the first images, as the tutorial does: 5,000 of MNIST's
// 60,000.
//
// # Bad files
//
// The error for a damaged file is a [*FormatError] with the file, the byte offset, the
// field and the reason. The reason is one of the errors Err…, for errors.Is, or comes from
// the operating system. A wrong size in a header costs no memory, because memory is
// allocated as data are read.
package mnist

// Package mnist brings labelled images into memory: the MNIST database, which is
// embedded in the program, and directories of files in MNIST's form (IDX) or
// CIFAR's.
//
//	split, err := mnist.Tutorial()        // the embedded MNIST
//	split, err := mnist.Load("fashion", mnist.BySeed(1)) // a directory
//
// Either gives a [Split]: training, validation and test set, as [net.Dataset]s
// in NCHW order.
//
// # Directories
//
// [Load] tells a directory's form by the names in it.
//
// IDX: four files, of training and test images and labels, with the names that
// MNIST, Fashion-MNIST, KMNIST and EMNIST give them:
//
//	train-images-idx3-ubyte   t10k-images-idx3-ubyte
//	train-labels-idx1-ubyte   t10k-labels-idx1-ubyte
//
// "test" may stand for "t10k", ".idx3" for "-idx3"; a name may end in ".gz" and
// begin with the data set's name, as in emnist-letters-train-images-idx3-ubyte.gz.
// If a file is there under several names, the first in alphabetical order counts.
// The content decides whether a file is compressed, not its name.
//
// CIFAR-10 (binary version): data_batch_1.bin, data_batch_2.bin and so on without
// a gap, and test_batch.bin. CIFAR-100: train.bin and test.bin, of which the classes
// count and not the 20 groups.
//
// # Images and labels
//
// Images of bytes become [net.Dataset.Pixels], with a Scale of 1/255 that brings
// them to [0, 1]. Images of any other element type become [net.Dataset.Values]
// as they stand, rounded to float32: their type does not tell their range, so
// that the scaling is left to whoever made the file. NaN and infinities are
// refused. An image file has the dimensions (N, rows, columns) or
// (N, channels, rows, columns).
//
// EMNIST's files store each image transposed. Files whose names begin with
// "emnist-" are transposed back, so that its letters stand upright, as MNIST's
// digits do.
//
// A label file has one dimension and an integer element type. The number of
// classes is the greatest training label plus 1, and at least 2. Labels are never
// renumbered: EMNIST's letters, whose labels are 1 to 26, get 27 classes, of
// which class 0 has no sample. A test label outside the classes is an error.
// Whether a training label is too great only the network can tell:
// [Split.CheckLabels] finds it.
//
// # Names of classes
//
// A file classes.txt or labels.txt beside the images names the classes, one a line. It
// may name more than the training labels have; fewer are refused. Without it
// CIFAR's names come from batches.meta.txt or fine_label_names.txt, and EMNIST's from emnist-…-mapping.txt,
// where these are there. MNIST and Fashion-MNIST are known by their labels; KMNIST,
// EMNIST and kin by the name of files or folder. All others are called by number.
//
// # Validation set
//
// A [Splitter] takes it off the training images. [BySeed] chooses a tenth of each class, but no
// more than about 5,000 in all: so sorted images train as well as shuffled ones.
// [FirstTenth] takes the first ones, as the tutorial does: 5,000 of MNIST's 60,000.
//
// # Bad files
//
// What is wrong with a file is told by a [*FormatError]: file, byte offset, field
// and reason. Every reason is one of the errors Err…, for errors.Is, or comes from
// the operating system. A file's header is never trusted with memory: memory grows
// with the data that arrives.
package mnist

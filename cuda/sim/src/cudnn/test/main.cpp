// Every function of libcudnn against plain loops in double precision, on random shapes, types and layouts.
#include <cstdlib>

#include "rig.h"

int main(int arguments, char **values) {
  const uint64_t seed = arguments > 1 ? std::strtoull(values[1], nullptr, 10) : 1;
  test::testDescriptors(seed);
  test::testConvolution(seed);
  test::testAlgorithms(seed);
  test::testPooling(seed);
  test::testActivation(seed);
  test::testOperations(seed);
  test::testStreams(seed);
  test::testTraffic();
  test::testWrong(seed);
  return test::summary();
}

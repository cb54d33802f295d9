// The library doesn't export its histories, so the tests have them compiled in once more.
#include "core/order.cpp"

// Handlers that apply one function to each active lane.
#ifndef GPUTRAIN_SIM_PTX_LANEWISE_H
#define GPUTRAIN_SIM_PTX_LANEWISE_H

#include "machine.h"

namespace ptx {

template <class Op, class D, class A>
void unary(Exec &x, const Inst &i) {
  D *d = x.lanes<D>(i.o[0]);
  const A *a = x.lanes<A>(i.o[1]);
  forLanes(x.mask, [=](unsigned lane) { d[lane] = Op::f(a[lane]); });
}

template <class Op, class D, class A, class B = A>
void binary(Exec &x, const Inst &i) {
  D *d = x.lanes<D>(i.o[0]);
  const A *a = x.lanes<A>(i.o[1]);
  const B *b = x.lanes<B>(i.o[2]);
  forLanes(x.mask, [=](unsigned lane) { d[lane] = Op::f(a[lane], b[lane]); });
}

template <class Op, class D, class A, class B = A, class C = B>
void ternary(Exec &x, const Inst &i) {
  D *d = x.lanes<D>(i.o[0]);
  const A *a = x.lanes<A>(i.o[1]);
  const B *b = x.lanes<B>(i.o[2]);
  const C *c = x.lanes<C>(i.o[3]);
  forLanes(x.mask, [=](unsigned lane) { d[lane] = Op::f(a[lane], b[lane], c[lane]); });
}

// Bit 0 of each element, put together to a mask of lanes.
inline uint32_t gatherBits(const uint32_t *lanes) {
  uint32_t mask = 0;
  for (unsigned lane = 0; lane < kLanes; lane++) mask |= (lanes[lane] & 1) << lane;
  return mask;
}

}  // namespace ptx

#endif

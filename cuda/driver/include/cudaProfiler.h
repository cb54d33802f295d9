/*
 * Starting and stopping a profiler's collection.
 */
#ifndef GPUTRAIN_CUDAPROFILER_H
#define GPUTRAIN_CUDAPROFILER_H

#include "cuda.h"

#ifdef __cplusplus
extern "C" {
#endif

CUresult CUDAAPI cuProfilerStart(void);
CUresult CUDAAPI cuProfilerStop(void);

#ifdef __cplusplus
}
#endif

#endif

/*
 * Complex numbers as cuBLAS takes them: real part first, aligned to their size.
 */
#ifndef GPUTRAIN_CUCOMPLEX_H
#define GPUTRAIN_CUCOMPLEX_H

typedef struct {
	float x, y;
} __attribute__((aligned(8))) float2;

typedef struct {
	double x, y;
} __attribute__((aligned(16))) double2;

typedef float2 cuFloatComplex;
typedef cuFloatComplex cuComplex;
typedef double2 cuDoubleComplex;

#endif

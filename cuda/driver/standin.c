//go:build cuda && linux && (amd64 || arm64)

// The functions that answer while a slot has no symbol. They ignore the arguments that they don't name, which the
// calling conventions of amd64 and arm64 allow: the caller cleans up.

#include "standin.h"

#include <stddef.h>

#include "cublas_v2.h"
#include "cuda.h"
#include "cudnn.h"
#include "nccl.h"

#define HIDDEN __attribute__((visibility("hidden")))

struct gputrain_standin_status gputrain_standin = {
	CUDA_ERROR_NOT_INITIALIZED,
	CUDNN_STATUS_NOT_INITIALIZED,
	CUBLAS_STATUS_NOT_INITIALIZED,
	CUBLAS_STATUS_NOT_INITIALIZED,
	ncclInvalidUsage,
};

HIDDEN int gputrain_cuda_status(void) { return gputrain_standin.cuda; }
HIDDEN int gputrain_cudnn_status(void) { return gputrain_standin.cudnn; }
HIDDEN int gputrain_cublas_status(void) { return gputrain_standin.cublas; }
HIDDEN int gputrain_cublaslt_status(void) { return gputrain_standin.cublaslt; }
HIDDEN int gputrain_nccl_status(void) { return gputrain_standin.nccl; }

HIDDEN int gputrain_cuda_name(int status, const char **name) {
	(void)status;
	if (name != NULL) *name = NULL;
	return gputrain_standin.cuda;
}

HIDDEN size_t gputrain_cudnn_number(void) { return 0; }
HIDDEN size_t gputrain_cublas_number(void) { return 0; }

HIDDEN const char *gputrain_cudnn_text(void) { return "cuDNN is not loaded or lacks this function"; }
HIDDEN const char *gputrain_cublas_text(void) { return "cuBLAS is not loaded or lacks this function"; }
HIDDEN const char *gputrain_nccl_text(void) { return ""; }

HIDDEN void gputrain_cudnn_message(char *text, size_t size) {
	if (text != NULL && size > 0) text[0] = '\0';
}

// cuInit answers success and does nothing: gorgonia.org/cu calls it before main and ends the process if it fails.
// Package driver calls the library's own when it opens it, and keeps what that said.
HIDDEN CUresult CUDAAPI cuInit(unsigned int flags) {
	(void)flags;
	return CUDA_SUCCESS;
}

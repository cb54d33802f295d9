/*
 * NCCL: the names, values and prototypes that this module refers to. Declared here so that a build needs no NCCL. They
 * hold for NCCL 2.13 and later.
 */
#ifndef GPUTRAIN_NCCL_H
#define GPUTRAIN_NCCL_H

#include <stddef.h>

#include "cuda.h"
#include "library_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Groups of processes or threads, each with a GPU */

typedef struct ncclComm *ncclComm_t;

#define NCCL_UNIQUE_ID_BYTES 128

typedef struct {
	char internal[NCCL_UNIQUE_ID_BYTES];
} ncclUniqueId;

/* Statuses */

typedef enum {
	ncclSuccess = 0,
	ncclUnhandledCudaError = 1,
	ncclSystemError = 2,
	ncclInternalError = 3,
	ncclInvalidArgument = 4,
	ncclInvalidUsage = 5,
	ncclRemoteError = 6,
	ncclInProgress = 7,
} ncclResult_t;

/* Values and what is done with them */

typedef enum {
	ncclInt8 = 0,
	ncclUint8 = 1,
	ncclInt32 = 2,
	ncclUint32 = 3,
	ncclInt64 = 4,
	ncclUint64 = 5,
	ncclFloat16 = 6,
	ncclFloat32 = 7,
	ncclFloat64 = 8,
	ncclBfloat16 = 9,
} ncclDataType_t;

typedef enum {
	ncclSum = 0,
	ncclProd = 1,
	ncclMax = 2,
	ncclMin = 3,
} ncclRedOp_t;

/* Functions */

#define NCCLAPI

const char *NCCLAPI ncclGetLastError(ncclComm_t comm);
ncclResult_t NCCLAPI ncclAllReduce(const void *sendbuff, void *recvbuff, size_t count, ncclDataType_t datatype,
	ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream);
ncclResult_t NCCLAPI ncclBroadcast(const void *sendbuff, void *recvbuff, size_t count, ncclDataType_t datatype, int root,
	ncclComm_t comm, cudaStream_t stream);
ncclResult_t NCCLAPI ncclCommAbort(ncclComm_t comm);
ncclResult_t NCCLAPI ncclCommDestroy(ncclComm_t comm);
ncclResult_t NCCLAPI ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *asyncError);
ncclResult_t NCCLAPI ncclCommInitRank(ncclComm_t *comm, int nranks, ncclUniqueId commId, int rank);
ncclResult_t NCCLAPI ncclGetUniqueId(ncclUniqueId *uniqueId);
ncclResult_t NCCLAPI ncclGetVersion(int *version);

#ifdef __cplusplus
}
#endif

#endif

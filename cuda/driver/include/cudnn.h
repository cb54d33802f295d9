/*
 * cuDNN: the names, values and prototypes that gorgonia.org/cu/dnn and this module refer to. Declared here so
 * that a build needs no cuDNN.
 *
 * Types and prototypes are the same in cuDNN 8 and 9 for every function below that both have. The status codes are
 * not: cuDNN 9 numbered them anew. CUDNN_MAJOR chooses; 8 is the default, since gorgonia's table of statuses is 8's.
 * Package driver reads codes by the version of the library that answered, not by these names. CUDNN_KNOB_TYPE_COUNTS and
 * CUDNN_NUMERICAL_NOTE_TYPE_COUNT grow with every version and mean nothing here.
 */
#ifndef GPUTRAIN_CUDNN_H
#define GPUTRAIN_CUDNN_H

#include <stddef.h>
#include <stdint.h>

#include "library_types.h"

#ifndef CUDNN_MAJOR
#define CUDNN_MAJOR 8
#endif

#define CUDNNWINAPI

#define CUDNN_DIM_MAX           8
#define CUDNN_SEQDATA_DIM_COUNT 4
#define CUDNN_ATTN_WKIND_COUNT  8
#define CUDNN_BN_MIN_EPSILON    0.0

#define CUDNN_RNN_PADDED_IO_DISABLED 0
#define CUDNN_RNN_PADDED_IO_ENABLED  (1U << 0)

#define CUDNN_ATTN_QUERYMAP_ALL_TO_ONE 0
#define CUDNN_ATTN_QUERYMAP_ONE_TO_ONE (1U << 0)
#define CUDNN_ATTN_DISABLE_PROJ_BIASES 0
#define CUDNN_ATTN_ENABLE_PROJ_BIASES  (1U << 1)

#ifdef __cplusplus
extern "C" {
#endif

/* Handles and scalars */

typedef struct cudnnContext *cudnnHandle_t;
typedef struct cudnnTensorStruct *cudnnTensorDescriptor_t;
typedef struct cudnnFilterStruct *cudnnFilterDescriptor_t;
typedef struct cudnnConvolutionStruct *cudnnConvolutionDescriptor_t;
typedef struct cudnnActivationStruct *cudnnActivationDescriptor_t;
typedef struct cudnnPoolingStruct *cudnnPoolingDescriptor_t;
typedef struct cudnnOpTensorStruct *cudnnOpTensorDescriptor_t;
typedef struct cudnnReduceTensorStruct *cudnnReduceTensorDescriptor_t;
typedef struct cudnnDropoutStruct *cudnnDropoutDescriptor_t;
typedef struct cudnnRuntimeTag_t cudnnRuntimeTag_t;
typedef struct cudnnTensorTransformStruct *cudnnTensorTransformDescriptor_t;
typedef void *cudnnBackendDescriptor_t;
typedef struct cudnnCTCLossStruct *cudnnCTCLossDescriptor_t;
typedef struct cudnnAlgorithmStruct *cudnnAlgorithmDescriptor_t;
typedef struct cudnnAlgorithmPerformanceStruct *cudnnAlgorithmPerformance_t;
typedef struct cudnnAttnStruct *cudnnAttnDescriptor_t;
typedef struct cudnnFusedOpsConstParamStruct *cudnnFusedOpsConstParamPack_t;
typedef struct cudnnFusedOpsVariantParamStruct *cudnnFusedOpsVariantParamPack_t;
typedef struct cudnnLRNStruct *cudnnLRNDescriptor_t;
typedef struct cudnnRNNStruct *cudnnRNNDescriptor_t;
typedef struct cudnnPersistentRNNPlan *cudnnPersistentRNNPlan_t;
typedef struct cudnnRNNDataStruct *cudnnRNNDataDescriptor_t;
typedef struct cudnnSeqDataStruct *cudnnSeqDataDescriptor_t;
typedef struct cudnnSpatialTransformerStruct *cudnnSpatialTransformerDescriptor_t;

/* Enumerations */

typedef enum {
#if CUDNN_MAJOR >= 9
	CUDNN_STATUS_SUCCESS                                    = 0,
	CUDNN_STATUS_NOT_INITIALIZED                            = 1001,
	CUDNN_STATUS_SUBLIBRARY_VERSION_MISMATCH                = 1002,
	CUDNN_STATUS_VERSION_MISMATCH                           = 1002,
	CUDNN_STATUS_SERIALIZATION_VERSION_MISMATCH             = 1003,
	CUDNN_STATUS_DEPRECATED                                 = 1004,
	CUDNN_STATUS_LICENSE_ERROR                              = 1005,
	CUDNN_STATUS_RUNTIME_IN_PROGRESS                        = 1006,
	CUDNN_STATUS_RUNTIME_FP_OVERFLOW                        = 1007,
	CUDNN_STATUS_SUBLIBRARY_LOADING_FAILED                  = 1008,
	CUDNN_STATUS_BAD_PARAM                                  = 2000,
	CUDNN_STATUS_INVALID_VALUE                              = 2001,
	CUDNN_STATUS_BAD_PARAM_NULL_POINTER                     = 2002,
	CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER               = 2003,
	CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED                    = 2004,
	CUDNN_STATUS_BAD_PARAM_OUT_OF_BOUND                     = 2005,
	CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT                = 2006,
	CUDNN_STATUS_BAD_PARAM_STREAM_MISMATCH                  = 2007,
	CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH                   = 2008,
	CUDNN_STATUS_BAD_PARAM_DUPLICATED_ENTRIES               = 2009,
	CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE                   = 2010,
	CUDNN_STATUS_BAD_PARAM_CUDA_GRAPH_MISMATCH              = 2011,
	CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE                  = 2012,
	CUDNN_STATUS_NOT_SUPPORTED                              = 3000,
	CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN                = 3001,
	CUDNN_STATUS_NOT_SUPPORTED_SHAPE                        = 3002,
	CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE                    = 3003,
	CUDNN_STATUS_NOT_SUPPORTED_LAYOUT                       = 3004,
	CUDNN_STATUS_NOT_SUPPORTED_INCOMPATIBLE_CUDA_DRIVER     = 3005,
	CUDNN_STATUS_NOT_SUPPORTED_INCOMPATIBLE_CUDART          = 3006,
	CUDNN_STATUS_NOT_SUPPORTED_ARCH_MISMATCH                = 3007,
	CUDNN_STATUS_ARCH_MISMATCH                              = 3007,
	CUDNN_STATUS_NOT_SUPPORTED_RUNTIME_PREREQUISITE_MISSING = 3008,
	CUDNN_STATUS_RUNTIME_PREREQUISITE_MISSING               = 3008,
	CUDNN_STATUS_NOT_SUPPORTED_SUBLIBRARY_UNAVAILABLE       = 3009,
	CUDNN_STATUS_NOT_SUPPORTED_SHARED_MEMORY_INSUFFICIENT   = 3010,
	CUDNN_STATUS_NOT_SUPPORTED_PADDING                      = 3011,
	CUDNN_STATUS_NOT_SUPPORTED_BAD_LAUNCH_PARAM             = 3012,
	CUDNN_STATUS_NOT_SUPPORTED_CUDA_GRAPH_NATIVE_API        = 3013,
	CUDNN_STATUS_NOT_SUPPORTED_INVALID_DYNAMIC_SHAPE        = 3014,
	CUDNN_STATUS_INTERNAL_ERROR                             = 4000,
	CUDNN_STATUS_INTERNAL_ERROR_COMPILATION_FAILED          = 4001,
	CUDNN_STATUS_INTERNAL_ERROR_UNEXPECTED_VALUE            = 4002,
	CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED      = 4003,
	CUDNN_STATUS_ALLOC_FAILED                               = 4003,
	CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED    = 4004,
	CUDNN_STATUS_INTERNAL_ERROR_BAD_LAUNCH_PARAM            = 4005,
	CUDNN_STATUS_INTERNAL_ERROR_TEXTURE_CREATION_FAILED     = 4006,
	CUDNN_STATUS_MAPPING_ERROR                              = 4006,
	CUDNN_STATUS_EXECUTION_FAILED                           = 5000,
	CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER               = 5001,
	CUDNN_STATUS_EXECUTION_FAILED_CUBLAS                    = 5002,
	CUDNN_STATUS_EXECUTION_FAILED_CUDART                    = 5003,
	CUDNN_STATUS_EXECUTION_FAILED_CURAND                    = 5004,
#else
	CUDNN_STATUS_SUCCESS                      = 0,
	CUDNN_STATUS_NOT_INITIALIZED              = 1,
	CUDNN_STATUS_ALLOC_FAILED                 = 2,
	CUDNN_STATUS_BAD_PARAM                    = 3,
	CUDNN_STATUS_INTERNAL_ERROR               = 4,
	CUDNN_STATUS_INVALID_VALUE                = 5,
	CUDNN_STATUS_ARCH_MISMATCH                = 6,
	CUDNN_STATUS_MAPPING_ERROR                = 7,
	CUDNN_STATUS_EXECUTION_FAILED             = 8,
	CUDNN_STATUS_NOT_SUPPORTED                = 9,
	CUDNN_STATUS_LICENSE_ERROR                = 10,
	CUDNN_STATUS_RUNTIME_PREREQUISITE_MISSING = 11,
	CUDNN_STATUS_RUNTIME_IN_PROGRESS          = 12,
	CUDNN_STATUS_RUNTIME_FP_OVERFLOW          = 13,
	CUDNN_STATUS_VERSION_MISMATCH             = 14,
#endif
} cudnnStatus_t;

typedef enum {
	CUDNN_TENSOR_NCHW        = 0,
	CUDNN_TENSOR_NHWC        = 1,
	CUDNN_TENSOR_NCHW_VECT_C = 2,
} cudnnTensorFormat_t;

typedef enum {
	CUDNN_DATA_FLOAT              = 0,
	CUDNN_DATA_DOUBLE             = 1,
	CUDNN_DATA_HALF               = 2,
	CUDNN_DATA_INT8               = 3,
	CUDNN_DATA_INT32              = 4,
	CUDNN_DATA_INT8x4             = 5,
	CUDNN_DATA_UINT8              = 6,
	CUDNN_DATA_UINT8x4            = 7,
	CUDNN_DATA_INT8x32            = 8,
	CUDNN_DATA_BFLOAT16           = 9,
	CUDNN_DATA_INT64              = 10,
	CUDNN_DATA_BOOLEAN            = 11,
	CUDNN_DATA_FP8_E4M3           = 12,
	CUDNN_DATA_FP8_E5M2           = 13,
	CUDNN_DATA_FAST_FLOAT_FOR_FP8 = 14,
	CUDNN_DATA_FP8_E8M0           = 15,
	CUDNN_DATA_FP4_E2M1           = 16,
	CUDNN_DATA_INT4               = 17,
	CUDNN_DATA_UINT4              = 18,
	CUDNN_DATA_UINT32             = 19,
	CUDNN_DATA_COMPLEX_FP32       = 20,
	CUDNN_DATA_COMPLEX_FP64       = 21,
	CUDNN_DATA_BYTE_BOOLEAN       = 22,
	CUDNN_DATA_FP8_E5M3           = 23,
} cudnnDataType_t;

typedef enum {
	CUDNN_CONVOLUTION       = 0,
	CUDNN_CROSS_CORRELATION = 1,
} cudnnConvolutionMode_t;

typedef enum {
	CUDNN_DEFAULT_MATH                    = 0,
	CUDNN_TENSOR_OP_MATH                  = 1,
	CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION = 2,
	CUDNN_FMA_MATH                        = 3,
} cudnnMathType_t;

typedef enum {
	CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM         = 0,
	CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM = 1,
	CUDNN_CONVOLUTION_FWD_ALGO_GEMM                  = 2,
	CUDNN_CONVOLUTION_FWD_ALGO_DIRECT                = 3,
	CUDNN_CONVOLUTION_FWD_ALGO_FFT                   = 4,
	CUDNN_CONVOLUTION_FWD_ALGO_FFT_TILING            = 5,
	CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD              = 6,
	CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD_NONFUSED     = 7,
	CUDNN_CONVOLUTION_FWD_ALGO_COUNT                 = 8,
} cudnnConvolutionFwdAlgo_t;

typedef enum {
	CUDNN_NON_DETERMINISTIC = 0,
	CUDNN_DETERMINISTIC     = 1,
} cudnnDeterminism_t;

typedef enum {
	CUDNN_CONVOLUTION_BWD_DATA_ALGO_0                 = 0,
	CUDNN_CONVOLUTION_BWD_DATA_ALGO_1                 = 1,
	CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT               = 2,
	CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT_TILING        = 3,
	CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD          = 4,
	CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD_NONFUSED = 5,
	CUDNN_CONVOLUTION_BWD_DATA_ALGO_COUNT             = 6,
} cudnnConvolutionBwdDataAlgo_t;

typedef enum {
	CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0                 = 0,
	CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1                 = 1,
	CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT               = 2,
	CUDNN_CONVOLUTION_BWD_FILTER_ALGO_3                 = 3,
	CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD          = 4,
	CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD_NONFUSED = 5,
	CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT_TILING        = 6,
	CUDNN_CONVOLUTION_BWD_FILTER_ALGO_COUNT             = 7,
} cudnnConvolutionBwdFilterAlgo_t;

typedef enum {
	CUDNN_POOLING_MAX                           = 0,
	CUDNN_POOLING_AVERAGE_COUNT_INCLUDE_PADDING = 1,
	CUDNN_POOLING_AVERAGE_COUNT_EXCLUDE_PADDING = 2,
	CUDNN_POOLING_MAX_DETERMINISTIC             = 3,
} cudnnPoolingMode_t;

typedef enum {
	CUDNN_NOT_PROPAGATE_NAN = 0,
	CUDNN_PROPAGATE_NAN     = 1,
} cudnnNanPropagation_t;

typedef enum {
	CUDNN_ACTIVATION_SIGMOID      = 0,
	CUDNN_ACTIVATION_RELU         = 1,
	CUDNN_ACTIVATION_TANH         = 2,
	CUDNN_ACTIVATION_CLIPPED_RELU = 3,
	CUDNN_ACTIVATION_ELU          = 4,
	CUDNN_ACTIVATION_IDENTITY     = 5,
	CUDNN_ACTIVATION_SWISH        = 6,
} cudnnActivationMode_t;

typedef enum {
	CUDNN_SOFTMAX_FAST     = 0,
	CUDNN_SOFTMAX_ACCURATE = 1,
	CUDNN_SOFTMAX_LOG      = 2,
} cudnnSoftmaxAlgorithm_t;

typedef enum {
	CUDNN_SOFTMAX_MODE_INSTANCE = 0,
	CUDNN_SOFTMAX_MODE_CHANNEL  = 1,
} cudnnSoftmaxMode_t;

typedef enum {
	CUDNN_OP_TENSOR_ADD  = 0,
	CUDNN_OP_TENSOR_MUL  = 1,
	CUDNN_OP_TENSOR_MIN  = 2,
	CUDNN_OP_TENSOR_MAX  = 3,
	CUDNN_OP_TENSOR_SQRT = 4,
	CUDNN_OP_TENSOR_NOT  = 5,
} cudnnOpTensorOp_t;

typedef enum {
	CUDNN_REDUCE_TENSOR_ADD          = 0,
	CUDNN_REDUCE_TENSOR_MUL          = 1,
	CUDNN_REDUCE_TENSOR_MIN          = 2,
	CUDNN_REDUCE_TENSOR_MAX          = 3,
	CUDNN_REDUCE_TENSOR_AMAX         = 4,
	CUDNN_REDUCE_TENSOR_AVG          = 5,
	CUDNN_REDUCE_TENSOR_NORM1        = 6,
	CUDNN_REDUCE_TENSOR_NORM2        = 7,
	CUDNN_REDUCE_TENSOR_MUL_NO_ZEROS = 8,
} cudnnReduceTensorOp_t;

typedef enum {
	CUDNN_REDUCE_TENSOR_NO_INDICES        = 0,
	CUDNN_REDUCE_TENSOR_FLATTENED_INDICES = 1,
} cudnnReduceTensorIndices_t;

typedef enum {
	CUDNN_32BIT_INDICES = 0,
	CUDNN_64BIT_INDICES = 1,
	CUDNN_16BIT_INDICES = 2,
	CUDNN_8BIT_INDICES  = 3,
} cudnnIndicesType_t;

typedef enum {
	CUDNN_BATCHNORM_PER_ACTIVATION     = 0,
	CUDNN_BATCHNORM_SPATIAL            = 1,
	CUDNN_BATCHNORM_SPATIAL_PERSISTENT = 2,
} cudnnBatchNormMode_t;

typedef enum {
	CUDNN_SEV_FATAL   = 0,
	CUDNN_SEV_ERROR   = 1,
	CUDNN_SEV_WARNING = 2,
	CUDNN_SEV_INFO    = 3,
} cudnnSeverity_t;

typedef enum {
	CUDNN_ERRQUERY_RAWCODE     = 0,
	CUDNN_ERRQUERY_NONBLOCKING = 1,
	CUDNN_ERRQUERY_BLOCKING    = 2,
} cudnnErrQueryMode_t;

typedef enum {
	CUDNN_DEFAULT_REORDER = 0,
	CUDNN_NO_REORDER      = 1,
} cudnnReorderType_t;

typedef enum {
	CUDNN_BACKEND_POINTWISE_DESCRIPTOR                             = 0,
	CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR                           = 1,
	CUDNN_BACKEND_ENGINE_DESCRIPTOR                                = 2,
	CUDNN_BACKEND_ENGINECFG_DESCRIPTOR                             = 3,
	CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR                            = 4,
	CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR                        = 5,
	CUDNN_BACKEND_INTERMEDIATE_INFO_DESCRIPTOR                     = 6,
	CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR                           = 7,
	CUDNN_BACKEND_KNOB_INFO_DESCRIPTOR                             = 8,
	CUDNN_BACKEND_LAYOUT_INFO_DESCRIPTOR                           = 9,
	CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR         = 10,
	CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR = 11,
	CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR   = 12,
	CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR                   = 13,
	CUDNN_BACKEND_OPERATION_GEN_STATS_DESCRIPTOR                   = 14,
	CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR                        = 15,
	CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR                          = 16,
	CUDNN_BACKEND_TENSOR_DESCRIPTOR                                = 17,
} cudnnBackendDescriptorType_t;

typedef enum {
	CUDNN_ATTR_POINTWISE_MODE                             = 0,
	CUDNN_ATTR_POINTWISE_MATH_PREC                        = 1,
	CUDNN_ATTR_POINTWISE_NAN_PROPAGATION                  = 2,
	CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP                  = 3,
	CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP                  = 4,
	CUDNN_ATTR_CONVOLUTION_COMP_TYPE                      = 100,
	CUDNN_ATTR_CONVOLUTION_CONV_MODE                      = 101,
	CUDNN_ATTR_CONVOLUTION_DILATIONS                      = 102,
	CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES                 = 103,
	CUDNN_ATTR_CONVOLUTION_POST_PADDINGS                  = 104,
	CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS                   = 105,
	CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS                   = 106,
	CUDNN_ATTR_ENGINEHEUR_MODE                            = 200,
	CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH                 = 201,
	CUDNN_ATTR_ENGINEHEUR_RESULTS                         = 202,
	CUDNN_ATTR_ENGINECFG_ENGINE                           = 300,
	CUDNN_ATTR_ENGINECFG_INTERMEDIATE_INFO                = 301,
	CUDNN_ATTR_ENGINECFG_KNOB_CHOICES                     = 302,
	CUDNN_ATTR_EXECUTION_PLAN_HANDLE                      = 400,
	CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG               = 401,
	CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE              = 402,
	CUDNN_ATTR_EXECUTION_PLAN_COMPUTED_INTERMEDIATE_UIDS  = 403,
	CUDNN_ATTR_EXECUTION_PLAN_RUN_ONLY_INTERMEDIATE_UIDS  = 404,
	CUDNN_ATTR_INTERMEDIATE_INFO_UNIQUE_ID                = 500,
	CUDNN_ATTR_INTERMEDIATE_INFO_SIZE                     = 501,
	CUDNN_ATTR_INTERMEDIATE_INFO_DEPENDENT_DATA_UIDS      = 502,
	CUDNN_ATTR_INTERMEDIATE_INFO_DEPENDENT_ATTRIBUTES     = 503,
	CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE                      = 600,
	CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE                     = 601,
	CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA        = 700,
	CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA         = 701,
	CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC    = 702,
	CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W            = 703,
	CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X            = 704,
	CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y            = 705,
	CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA       = 706,
	CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA        = 707,
	CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC   = 708,
	CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W           = 709,
	CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX          = 710,
	CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY          = 711,
	CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA     = 712,
	CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA      = 713,
	CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC = 714,
	CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW        = 715,
	CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X         = 716,
	CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY        = 717,
	CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR          = 750,
	CUDNN_ATTR_OPERATION_POINTWISE_XDESC                  = 751,
	CUDNN_ATTR_OPERATION_POINTWISE_BDESC                  = 752,
	CUDNN_ATTR_OPERATION_POINTWISE_YDESC                  = 753,
	CUDNN_ATTR_OPERATION_POINTWISE_ALPHA1                 = 754,
	CUDNN_ATTR_OPERATION_POINTWISE_ALPHA2                 = 755,
	CUDNN_ATTR_OPERATION_GENSTATS_MODE                    = 770,
	CUDNN_ATTR_OPERATION_GENSTATS_MATH_PREC               = 771,
	CUDNN_ATTR_OPERATION_GENSTATS_XDESC                   = 772,
	CUDNN_ATTR_OPERATION_GENSTATS_SUMDESC                 = 773,
	CUDNN_ATTR_OPERATION_GENSTATS_SQSUMDESC               = 774,
	CUDNN_ATTR_OPERATIONGRAPH_HANDLE                      = 800,
	CUDNN_ATTR_OPERATIONGRAPH_OPS                         = 801,
	CUDNN_ATTR_OPERATIONGRAPH_ENGINE_GLOBAL_COUNT         = 802,
	CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT                      = 900,
	CUDNN_ATTR_TENSOR_DATA_TYPE                           = 901,
	CUDNN_ATTR_TENSOR_DIMENSIONS                          = 902,
	CUDNN_ATTR_TENSOR_STRIDES                             = 903,
	CUDNN_ATTR_TENSOR_VECTOR_COUNT                        = 904,
	CUDNN_ATTR_TENSOR_VECTORIZED_DIMENSION                = 905,
	CUDNN_ATTR_TENSOR_UNIQUE_ID                           = 906,
	CUDNN_ATTR_TENSOR_IS_VIRTUAL                          = 907,
	CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS                    = 1000,
	CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS                 = 1001,
	CUDNN_ATTR_VARIANT_PACK_INTERMEDIATES                 = 1002,
	CUDNN_ATTR_VARIANT_PACK_WORKSPACE                     = 1003,
	CUDNN_ATTR_LAYOUT_INFO_TENSOR_UID                     = 1100,
	CUDNN_ATTR_LAYOUT_INFO_TYPES                          = 1101,
	CUDNN_ATTR_KNOB_INFO_TYPE                             = 1200,
	CUDNN_ATTR_KNOB_INFO_MAXIMUM_VALUE                    = 1201,
	CUDNN_ATTR_KNOB_INFO_MINIMUM_VALUE                    = 1202,
	CUDNN_ATTR_KNOB_INFO_STRIDE                           = 1203,
	CUDNN_ATTR_ENGINE_OPERATION_GRAPH                     = 1300,
	CUDNN_ATTR_ENGINE_GLOBAL_INDEX                        = 1301,
	CUDNN_ATTR_ENGINE_KNOB_INFO                           = 1302,
	CUDNN_ATTR_ENGINE_NUMERICAL_NOTE                      = 1303,
	CUDNN_ATTR_ENGINE_LAYOUT_INFO                         = 1304,
} cudnnBackendAttributeName_t;

typedef enum {
	CUDNN_TYPE_HANDLE                  = 0,
	CUDNN_TYPE_DATA_TYPE               = 1,
	CUDNN_TYPE_BOOLEAN                 = 2,
	CUDNN_TYPE_INT64                   = 3,
	CUDNN_TYPE_FLOAT                   = 4,
	CUDNN_TYPE_DOUBLE                  = 5,
	CUDNN_TYPE_VOID_PTR                = 6,
	CUDNN_TYPE_CONVOLUTION_MODE        = 7,
	CUDNN_TYPE_HEUR_MODE               = 8,
	CUDNN_TYPE_KNOB_TYPE               = 9,
	CUDNN_TYPE_NAN_PROPOGATION         = 10,
	CUDNN_TYPE_NUMERICAL_NOTE          = 11,
	CUDNN_TYPE_LAYOUT_TYPE             = 12,
	CUDNN_TYPE_ATTRIB_NAME             = 13,
	CUDNN_TYPE_POINTWISE_MODE          = 14,
	CUDNN_TYPE_BACKEND_DESCRIPTOR      = 15,
	CUDNN_TYPE_GENSTATS_MODE           = 16,
	CUDNN_TYPE_BN_FINALIZE_STATS_MODE  = 17,
	CUDNN_TYPE_REDUCTION_OPERATOR_TYPE = 18,
	CUDNN_TYPE_BEHAVIOR_NOTE           = 19,
	CUDNN_TYPE_TENSOR_REORDERING_MODE  = 20,
	CUDNN_TYPE_RESAMPLE_MODE           = 21,
	CUDNN_TYPE_PADDING_MODE            = 22,
	CUDNN_TYPE_INT32                   = 23,
	CUDNN_TYPE_CHAR                    = 24,
	CUDNN_TYPE_SIGNAL_MODE             = 25,
	CUDNN_TYPE_FRACTION                = 26,
	CUDNN_TYPE_NORM_MODE               = 27,
	CUDNN_TYPE_NORM_FWD_PHASE          = 28,
	CUDNN_TYPE_RNG_DISTRIBUTION        = 29,
	CUDNN_TYPE_MOE_GROUPED_MATMUL_MODE = 30,
	CUDNN_TYPE_RESHAPE_MODE            = 31,
	CUDNN_TYPE_OPERATIONGRAPH_MODE     = 32,
	CUDNN_TYPE_CUDA_GRAPH_RETENTION    = 33,
} cudnnBackendAttributeType_t;

typedef enum {
	CUDNN_CTC_LOSS_ALGO_DETERMINISTIC     = 0,
	CUDNN_CTC_LOSS_ALGO_NON_DETERMINISTIC = 1,
} cudnnCTCLossAlgo_t;

typedef enum {
	CUDNN_FUSED_SCALE_BIAS_ACTIVATION_CONV_BNSTATS    = 0,
	CUDNN_FUSED_SCALE_BIAS_ACTIVATION_WGRAD           = 1,
	CUDNN_FUSED_BN_FINALIZE_STATISTICS_TRAINING       = 2,
	CUDNN_FUSED_BN_FINALIZE_STATISTICS_INFERENCE      = 3,
	CUDNN_FUSED_CONV_SCALE_BIAS_ADD_ACTIVATION        = 4,
	CUDNN_FUSED_SCALE_BIAS_ADD_ACTIVATION_GEN_BITMASK = 5,
	CUDNN_FUSED_DACTIVATION_FORK_DBATCHNORM           = 6,
} cudnnFusedOps_t;

typedef enum {
	CUDNN_DIVNORM_PRECOMPUTED_MEANS = 0,
} cudnnDivNormMode_t;

typedef enum {
	CUDNN_LRN_CROSS_CHANNEL_DIM1 = 0,
} cudnnLRNMode_t;

typedef enum {
	CUDNN_RNN_ALGO_STANDARD               = 0,
	CUDNN_RNN_ALGO_PERSIST_STATIC         = 1,
	CUDNN_RNN_ALGO_PERSIST_DYNAMIC        = 2,
	CUDNN_RNN_ALGO_PERSIST_STATIC_SMALL_H = 3,
	CUDNN_RNN_ALGO_COUNT                  = 4,
} cudnnRNNAlgo_t;

typedef enum {
	CUDNN_PARAM_XDESC                          = 0,
	CUDNN_PARAM_XDATA_PLACEHOLDER              = 1,
	CUDNN_PARAM_BN_MODE                        = 2,
	CUDNN_PARAM_BN_EQSCALEBIAS_DESC            = 3,
	CUDNN_PARAM_BN_EQSCALE_PLACEHOLDER         = 4,
	CUDNN_PARAM_BN_EQBIAS_PLACEHOLDER          = 5,
	CUDNN_PARAM_ACTIVATION_DESC                = 6,
	CUDNN_PARAM_CONV_DESC                      = 7,
	CUDNN_PARAM_WDESC                          = 8,
	CUDNN_PARAM_WDATA_PLACEHOLDER              = 9,
	CUDNN_PARAM_DWDESC                         = 10,
	CUDNN_PARAM_DWDATA_PLACEHOLDER             = 11,
	CUDNN_PARAM_YDESC                          = 12,
	CUDNN_PARAM_YDATA_PLACEHOLDER              = 13,
	CUDNN_PARAM_DYDESC                         = 14,
	CUDNN_PARAM_DYDATA_PLACEHOLDER             = 15,
	CUDNN_PARAM_YSTATS_DESC                    = 16,
	CUDNN_PARAM_YSUM_PLACEHOLDER               = 17,
	CUDNN_PARAM_YSQSUM_PLACEHOLDER             = 18,
	CUDNN_PARAM_BN_SCALEBIAS_MEANVAR_DESC      = 19,
	CUDNN_PARAM_BN_SCALE_PLACEHOLDER           = 20,
	CUDNN_PARAM_BN_BIAS_PLACEHOLDER            = 21,
	CUDNN_PARAM_BN_SAVED_MEAN_PLACEHOLDER      = 22,
	CUDNN_PARAM_BN_SAVED_INVSTD_PLACEHOLDER    = 23,
	CUDNN_PARAM_BN_RUNNING_MEAN_PLACEHOLDER    = 24,
	CUDNN_PARAM_BN_RUNNING_VAR_PLACEHOLDER     = 25,
	CUDNN_PARAM_ZDESC                          = 26,
	CUDNN_PARAM_ZDATA_PLACEHOLDER              = 27,
	CUDNN_PARAM_BN_Z_EQSCALEBIAS_DESC          = 28,
	CUDNN_PARAM_BN_Z_EQSCALE_PLACEHOLDER       = 29,
	CUDNN_PARAM_BN_Z_EQBIAS_PLACEHOLDER        = 30,
	CUDNN_PARAM_ACTIVATION_BITMASK_DESC        = 31,
	CUDNN_PARAM_ACTIVATION_BITMASK_PLACEHOLDER = 32,
	CUDNN_PARAM_DXDESC                         = 33,
	CUDNN_PARAM_DXDATA_PLACEHOLDER             = 34,
	CUDNN_PARAM_DZDESC                         = 35,
	CUDNN_PARAM_DZDATA_PLACEHOLDER             = 36,
	CUDNN_PARAM_BN_DSCALE_PLACEHOLDER          = 37,
	CUDNN_PARAM_BN_DBIAS_PLACEHOLDER           = 38,
} cudnnFusedOpsConstParamLabel_t;

typedef enum {
	CUDNN_PTR_XDATA                             = 0,
	CUDNN_PTR_BN_EQSCALE                        = 1,
	CUDNN_PTR_BN_EQBIAS                         = 2,
	CUDNN_PTR_WDATA                             = 3,
	CUDNN_PTR_DWDATA                            = 4,
	CUDNN_PTR_YDATA                             = 5,
	CUDNN_PTR_DYDATA                            = 6,
	CUDNN_PTR_YSUM                              = 7,
	CUDNN_PTR_YSQSUM                            = 8,
	CUDNN_PTR_WORKSPACE                         = 9,
	CUDNN_PTR_BN_SCALE                          = 10,
	CUDNN_PTR_BN_BIAS                           = 11,
	CUDNN_PTR_BN_SAVED_MEAN                     = 12,
	CUDNN_PTR_BN_SAVED_INVSTD                   = 13,
	CUDNN_PTR_BN_RUNNING_MEAN                   = 14,
	CUDNN_PTR_BN_RUNNING_VAR                    = 15,
	CUDNN_PTR_ZDATA                             = 16,
	CUDNN_PTR_BN_Z_EQSCALE                      = 17,
	CUDNN_PTR_BN_Z_EQBIAS                       = 18,
	CUDNN_PTR_ACTIVATION_BITMASK                = 19,
	CUDNN_PTR_DXDATA                            = 20,
	CUDNN_PTR_DZDATA                            = 21,
	CUDNN_PTR_BN_DSCALE                         = 22,
	CUDNN_PTR_BN_DBIAS                          = 23,
	CUDNN_SCALAR_SIZE_T_WORKSPACE_SIZE_IN_BYTES = 100,
	CUDNN_SCALAR_INT64_T_BN_ACCUMULATION_COUNT  = 101,
	CUDNN_SCALAR_DOUBLE_BN_EXP_AVG_FACTOR       = 102,
	CUDNN_SCALAR_DOUBLE_BN_EPSILON              = 103,
} cudnnFusedOpsVariantParamLabel_t;

typedef enum {
	CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED   = 0,
	CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_PACKED     = 1,
	CUDNN_RNN_DATA_LAYOUT_BATCH_MAJOR_UNPACKED = 2,
} cudnnRNNDataLayout_t;

typedef enum {
	CUDNN_RNN_RELU = 0,
	CUDNN_RNN_TANH = 1,
	CUDNN_LSTM     = 2,
	CUDNN_GRU      = 3,
} cudnnRNNMode_t;

typedef enum {
	CUDNN_RNN_NO_BIAS         = 0,
	CUDNN_RNN_SINGLE_INP_BIAS = 1,
	CUDNN_RNN_DOUBLE_BIAS     = 2,
	CUDNN_RNN_SINGLE_REC_BIAS = 3,
} cudnnRNNBiasMode_t;

typedef enum {
	CUDNN_UNIDIRECTIONAL = 0,
	CUDNN_BIDIRECTIONAL  = 1,
} cudnnDirectionMode_t;

typedef enum {
	CUDNN_LINEAR_INPUT = 0,
	CUDNN_SKIP_INPUT   = 1,
} cudnnRNNInputMode_t;

typedef enum {
	CUDNN_SEQDATA_TIME_DIM  = 0,
	CUDNN_SEQDATA_BATCH_DIM = 1,
	CUDNN_SEQDATA_BEAM_DIM  = 2,
	CUDNN_SEQDATA_VECT_DIM  = 3,
} cudnnSeqDataAxis_t;

typedef enum {
	CUDNN_SAMPLER_BILINEAR = 0,
} cudnnSamplerType_t;

typedef enum {
	CUDNN_TRANSFORM_FOLD   = 0,
	CUDNN_TRANSFORM_UNFOLD = 1,
} cudnnFoldingDirection_t;

typedef enum {
	CUDNN_HEUR_MODE_INSTANT  = 0,
	CUDNN_HEUR_MODE_B        = 1,
	CUDNN_HEUR_MODE_FALLBACK = 2,
	CUDNN_HEUR_MODE_A        = 3,
	CUDNN_HEUR_MODES_COUNT   = 4,
} cudnnBackendHeurMode_t;

typedef enum {
	CUDNN_KNOB_TYPE_SPLIT_K          = 0,
	CUDNN_KNOB_TYPE_SWIZZLE          = 1,
	CUDNN_KNOB_TYPE_TILE_SIZE        = 2,
	CUDNN_KNOB_TYPE_USE_TEX          = 3,
	CUDNN_KNOB_TYPE_EDGE             = 4,
	CUDNN_KNOB_TYPE_KBLOCK           = 5,
	CUDNN_KNOB_TYPE_LDGA             = 6,
	CUDNN_KNOB_TYPE_LDGB             = 7,
	CUDNN_KNOB_TYPE_CHUNK_K          = 8,
	CUDNN_KNOB_TYPE_SPLIT_H          = 9,
	CUDNN_KNOB_TYPE_WINO_TILE        = 10,
	CUDNN_KNOB_TYPE_MULTIPLY         = 11,
	CUDNN_KNOB_TYPE_SPLIT_K_BUF      = 12,
	CUDNN_KNOB_TYPE_TILEK            = 13,
	CUDNN_KNOB_TYPE_STAGES           = 14,
	CUDNN_KNOB_TYPE_REDUCTION_MODE   = 15,
	CUDNN_KNOB_TYPE_CTA_SPLIT_K_MODE = 16,
	CUDNN_KNOB_TYPE_SPLIT_K_SLC      = 17,
	CUDNN_KNOB_TYPE_IDX_MODE         = 18,
	CUDNN_KNOB_TYPE_SLICED           = 19,
	CUDNN_KNOB_TYPE_SPLIT_RS         = 20,
	CUDNN_KNOB_TYPE_SINGLEBUFFER     = 21,
	CUDNN_KNOB_TYPE_LDGC             = 22,
	CUDNN_KNOB_TYPE_SPECFILT         = 23,
	CUDNN_KNOB_TYPE_COUNTS           = 46,
} cudnnBackendKnobType_t;

typedef enum {
	CUDNN_LAYOUT_TYPE_PREFERRED_NCHW   = 0,
	CUDNN_LAYOUT_TYPE_PREFERRED_NHWC   = 1,
	CUDNN_LAYOUT_TYPE_PREFERRED_PAD4CK = 2,
	CUDNN_LAYOUT_TYPE_PREFERRED_PAD8CK = 3,
	CUDNN_LAYOUT_TYPE_COUNT            = 4,
} cudnnBackendLayoutType_t;

typedef enum {
	CUDNN_NUMERICAL_NOTE_TENSOR_CORE                 = 0,
	CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS         = 1,
	CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION = 2,
	CUDNN_NUMERICAL_NOTE_FFT                         = 3,
	CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC            = 4,
	CUDNN_NUMERICAL_NOTE_WINOGRAD                    = 5,
	CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4           = 6,
	CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6           = 7,
	CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13         = 8,
	CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP             = 9,
	CUDNN_NUMERICAL_NOTE_TYPE_COUNT                  = 10,
} cudnnBackendNumericalNote_t;

typedef enum {
	CUDNN_BATCHNORM_OPS_BN                = 0,
	CUDNN_BATCHNORM_OPS_BN_ACTIVATION     = 1,
	CUDNN_BATCHNORM_OPS_BN_ADD_ACTIVATION = 2,
} cudnnBatchNormOps_t;

typedef enum {
	CUDNN_FWD_MODE_INFERENCE = 0,
	CUDNN_FWD_MODE_TRAINING  = 1,
} cudnnForwardMode_t;

typedef enum {
	CUDNN_PTR_NULL         = 0,
	CUDNN_PTR_ELEM_ALIGNED = 1,
	CUDNN_PTR_16B_ALIGNED  = 2,
} cudnnFusedOpsPointerPlaceHolder_t;

typedef enum {
	CUDNN_GENSTATS_SUM_SQSUM = 0,
} cudnnGenStatsMode_t;

typedef enum {
	CUDNN_LOSS_NORMALIZATION_NONE    = 0,
	CUDNN_LOSS_NORMALIZATION_SOFTMAX = 1,
} cudnnLossNormalizationMode_t;

typedef enum {
	CUDNN_MH_ATTN_Q_WEIGHTS = 0,
	CUDNN_MH_ATTN_K_WEIGHTS = 1,
	CUDNN_MH_ATTN_V_WEIGHTS = 2,
	CUDNN_MH_ATTN_O_WEIGHTS = 3,
	CUDNN_MH_ATTN_Q_BIASES  = 4,
	CUDNN_MH_ATTN_K_BIASES  = 5,
	CUDNN_MH_ATTN_V_BIASES  = 6,
	CUDNN_MH_ATTN_O_BIASES  = 7,
} cudnnMultiHeadAttnWeightKind_t;

typedef enum {
	CUDNN_NORM_ALGO_STANDARD = 0,
	CUDNN_NORM_ALGO_PERSIST  = 1,
} cudnnNormAlgo_t;

typedef enum {
	CUDNN_NORM_PER_ACTIVATION = 0,
	CUDNN_NORM_PER_CHANNEL    = 1,
} cudnnNormMode_t;

typedef enum {
	CUDNN_NORM_OPS_NORM                = 0,
	CUDNN_NORM_OPS_NORM_ACTIVATION     = 1,
	CUDNN_NORM_OPS_NORM_ADD_ACTIVATION = 2,
} cudnnNormOps_t;

typedef enum {
	CUDNN_POINTWISE_ADD         = 0,
	CUDNN_POINTWISE_MUL         = 1,
	CUDNN_POINTWISE_MIN         = 2,
	CUDNN_POINTWISE_MAX         = 3,
	CUDNN_POINTWISE_SQRT        = 4,
	CUDNN_POINTWISE_RELU_FWD    = 100,
	CUDNN_POINTWISE_TANH_FWD    = 101,
	CUDNN_POINTWISE_SIGMOID_FWD = 102,
	CUDNN_POINTWISE_ELU_FWD     = 103,
} cudnnPointwiseMode_t;

typedef enum {
	CUDNN_RNN_CLIP_NONE   = 0,
	CUDNN_RNN_CLIP_MINMAX = 1,
} cudnnRNNClipMode_t;

typedef enum {
	CUDNN_WGRAD_MODE_ADD = 0,
	CUDNN_WGRAD_MODE_SET = 1,
} cudnnWgradMode_t;

/* Structures and callbacks */

typedef struct cudnnConvolutionFwdAlgoPerfStruct {
	cudnnConvolutionFwdAlgo_t algo;
	cudnnStatus_t status;
	float time;
	size_t memory;
	cudnnDeterminism_t determinism;
	cudnnMathType_t mathType;
	int reserved[3];
} cudnnConvolutionFwdAlgoPerf_t;

typedef struct cudnnConvolutionBwdDataAlgoPerfStruct {
	cudnnConvolutionBwdDataAlgo_t algo;
	cudnnStatus_t status;
	float time;
	size_t memory;
	cudnnDeterminism_t determinism;
	cudnnMathType_t mathType;
	int reserved[3];
} cudnnConvolutionBwdDataAlgoPerf_t;

typedef struct cudnnConvolutionBwdFilterAlgoPerfStruct {
	cudnnConvolutionBwdFilterAlgo_t algo;
	cudnnStatus_t status;
	float time;
	size_t memory;
	cudnnDeterminism_t determinism;
	cudnnMathType_t mathType;
	int reserved[3];
} cudnnConvolutionBwdFilterAlgoPerf_t;

typedef struct cudnnDebugStruct {
	unsigned cudnn_version;
	cudnnStatus_t cudnnStatus;
	unsigned time_sec;
	unsigned time_usec;
	unsigned time_delta;
	cudnnHandle_t handle;
	cudaStream_t stream;
	unsigned long long pid;
	unsigned long long tid;
	int cudaDeviceId;
	int reserved[15];
} cudnnDebug_t;

typedef void (*cudnnCallback_t)(cudnnSeverity_t sev, void *udata, const cudnnDebug_t *dbg, const char *msg);

typedef struct cudnnAlgorithmUnionStruct {
	union Algorithm {
	cudnnConvolutionFwdAlgo_t convFwdAlgo;
	cudnnConvolutionBwdFilterAlgo_t convBwdFilterAlgo;
	cudnnConvolutionBwdDataAlgo_t convBwdDataAlgo;
	cudnnRNNAlgo_t RNNAlgo;
	cudnnCTCLossAlgo_t CTCLossAlgo;
	} algo;
} cudnnAlgorithm_t;

/* Versions, errors and handles */
cudnnStatus_t CUDNNWINAPI cudnnCreate(cudnnHandle_t *handle);
cudnnStatus_t CUDNNWINAPI cudnnDestroy(cudnnHandle_t handle);
cudnnStatus_t CUDNNWINAPI cudnnGetCallback(unsigned *mask, void **udata, cudnnCallback_t *fptr);
size_t CUDNNWINAPI cudnnGetCudartVersion(void);
const char *CUDNNWINAPI cudnnGetErrorString(cudnnStatus_t status);
void CUDNNWINAPI cudnnGetLastErrorString(char *message, size_t max_size);
size_t CUDNNWINAPI cudnnGetMaxDeviceVersion(void);
cudnnStatus_t CUDNNWINAPI cudnnGetProperty(libraryPropertyType type, int *value);
cudnnStatus_t CUDNNWINAPI cudnnGetStream(cudnnHandle_t handle, cudaStream_t *streamId);
size_t CUDNNWINAPI cudnnGetVersion(void);
cudnnStatus_t CUDNNWINAPI cudnnQueryRuntimeError(cudnnHandle_t handle, cudnnStatus_t *rstatus,
	cudnnErrQueryMode_t mode, cudnnRuntimeTag_t *tag);
cudnnStatus_t CUDNNWINAPI cudnnSetCallback(unsigned mask, void *udata, cudnnCallback_t fptr);
cudnnStatus_t CUDNNWINAPI cudnnSetStream(cudnnHandle_t handle, cudaStream_t streamId);

/* Tensors */
cudnnStatus_t CUDNNWINAPI cudnnAddTensor(cudnnHandle_t handle, const void *alpha, const cudnnTensorDescriptor_t
	aDesc, const void *A, const void *beta, const cudnnTensorDescriptor_t cDesc, void *C);
cudnnStatus_t CUDNNWINAPI cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t *tensorDesc);
cudnnStatus_t CUDNNWINAPI cudnnCreateTensorTransformDescriptor(cudnnTensorTransformDescriptor_t *transformDesc);
cudnnStatus_t CUDNNWINAPI cudnnDeriveBNTensorDescriptor(cudnnTensorDescriptor_t derivedBnDesc, const
	cudnnTensorDescriptor_t xDesc, cudnnBatchNormMode_t mode);
cudnnStatus_t CUDNNWINAPI cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t tensorDesc);
cudnnStatus_t CUDNNWINAPI cudnnDestroyTensorTransformDescriptor(cudnnTensorTransformDescriptor_t transformDesc);
cudnnStatus_t CUDNNWINAPI cudnnGetTensor4dDescriptor(const cudnnTensorDescriptor_t tensorDesc, cudnnDataType_t
	*dataType, int *n, int *c, int *h, int *w, int *nStride, int *cStride, int *hStride, int *wStride);
cudnnStatus_t CUDNNWINAPI cudnnGetTensorNdDescriptor(const cudnnTensorDescriptor_t tensorDesc, int
	nbDimsRequested, cudnnDataType_t *dataType, int *nbDims, int dimA[], int strideA[]);
cudnnStatus_t CUDNNWINAPI cudnnGetTensorSizeInBytes(const cudnnTensorDescriptor_t tensorDesc, size_t *size);
cudnnStatus_t CUDNNWINAPI cudnnScaleTensor(cudnnHandle_t handle, const cudnnTensorDescriptor_t yDesc, void *y,
	const void *alpha);
cudnnStatus_t CUDNNWINAPI cudnnSetTensor(cudnnHandle_t handle, const cudnnTensorDescriptor_t yDesc, void *y,
	const void *valuePtr);
cudnnStatus_t CUDNNWINAPI cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t tensorDesc, cudnnTensorFormat_t
	format, cudnnDataType_t dataType, int n, int c, int h, int w);
cudnnStatus_t CUDNNWINAPI cudnnSetTensor4dDescriptorEx(cudnnTensorDescriptor_t tensorDesc, cudnnDataType_t
	dataType, int n, int c, int h, int w, int nStride, int cStride, int hStride, int wStride);
cudnnStatus_t CUDNNWINAPI cudnnSetTensorNdDescriptor(cudnnTensorDescriptor_t tensorDesc, cudnnDataType_t
	dataType, int nbDims, const int dimA[], const int strideA[]);
cudnnStatus_t CUDNNWINAPI cudnnSetTensorNdDescriptorEx(cudnnTensorDescriptor_t tensorDesc, cudnnTensorFormat_t
	format, cudnnDataType_t dataType, int nbDims, const int dimA[]);
cudnnStatus_t CUDNNWINAPI cudnnSetTensorTransformDescriptor(cudnnTensorTransformDescriptor_t transformDesc,
	const uint32_t nbDims, const cudnnTensorFormat_t destFormat, const int32_t padBeforeA[], const int32_t
	padAfterA[], const uint32_t foldA[], const cudnnFoldingDirection_t direction);
cudnnStatus_t CUDNNWINAPI cudnnTransformTensor(cudnnHandle_t handle, const void *alpha, const
	cudnnTensorDescriptor_t xDesc, const void *x, const void *beta, const cudnnTensorDescriptor_t yDesc, void *y);
cudnnStatus_t CUDNNWINAPI cudnnTransformTensorEx(cudnnHandle_t handle, const cudnnTensorTransformDescriptor_t
	transDesc, const void *alpha, const cudnnTensorDescriptor_t srcDesc, const void *srcData, const void *beta,
	const cudnnTensorDescriptor_t destDesc, void *destData);

/* Element-wise and reducing operations on tensors */
cudnnStatus_t CUDNNWINAPI cudnnCreateOpTensorDescriptor(cudnnOpTensorDescriptor_t *opTensorDesc);
cudnnStatus_t CUDNNWINAPI cudnnCreateReduceTensorDescriptor(cudnnReduceTensorDescriptor_t *reduceTensorDesc);
cudnnStatus_t CUDNNWINAPI cudnnDestroyOpTensorDescriptor(cudnnOpTensorDescriptor_t opTensorDesc);
cudnnStatus_t CUDNNWINAPI cudnnDestroyReduceTensorDescriptor(cudnnReduceTensorDescriptor_t reduceTensorDesc);
cudnnStatus_t CUDNNWINAPI cudnnGetOpTensorDescriptor(const cudnnOpTensorDescriptor_t opTensorDesc,
	cudnnOpTensorOp_t *opTensorOp, cudnnDataType_t *opTensorCompType, cudnnNanPropagation_t *opTensorNanOpt);
cudnnStatus_t CUDNNWINAPI cudnnGetReduceTensorDescriptor(const cudnnReduceTensorDescriptor_t reduceTensorDesc,
	cudnnReduceTensorOp_t *reduceTensorOp, cudnnDataType_t *reduceTensorCompType, cudnnNanPropagation_t
	*reduceTensorNanOpt, cudnnReduceTensorIndices_t *reduceTensorIndices, cudnnIndicesType_t
	*reduceTensorIndicesType);
cudnnStatus_t CUDNNWINAPI cudnnGetReductionIndicesSize(cudnnHandle_t handle, const cudnnReduceTensorDescriptor_t
	reduceTensorDesc, const cudnnTensorDescriptor_t aDesc, const cudnnTensorDescriptor_t cDesc, size_t
	*sizeInBytes);
cudnnStatus_t CUDNNWINAPI cudnnGetReductionWorkspaceSize(cudnnHandle_t handle, const
	cudnnReduceTensorDescriptor_t reduceTensorDesc, const cudnnTensorDescriptor_t aDesc, const
	cudnnTensorDescriptor_t cDesc, size_t *sizeInBytes);
cudnnStatus_t CUDNNWINAPI cudnnOpTensor(cudnnHandle_t handle, const cudnnOpTensorDescriptor_t opTensorDesc,
	const void *alpha1, const cudnnTensorDescriptor_t aDesc, const void *A, const void *alpha2, const
	cudnnTensorDescriptor_t bDesc, const void *B, const void *beta, const cudnnTensorDescriptor_t cDesc, void *C);
cudnnStatus_t CUDNNWINAPI cudnnReduceTensor(cudnnHandle_t handle, const cudnnReduceTensorDescriptor_t
	reduceTensorDesc, void *indices, size_t indicesSizeInBytes, void *workspace, size_t workspaceSizeInBytes, const
	void *alpha, const cudnnTensorDescriptor_t aDesc, const void *A, const void *beta, const
	cudnnTensorDescriptor_t cDesc, void *C);
cudnnStatus_t CUDNNWINAPI cudnnSetOpTensorDescriptor(cudnnOpTensorDescriptor_t opTensorDesc, cudnnOpTensorOp_t
	opTensorOp, cudnnDataType_t opTensorCompType, cudnnNanPropagation_t opTensorNanOpt);
cudnnStatus_t CUDNNWINAPI cudnnSetReduceTensorDescriptor(cudnnReduceTensorDescriptor_t reduceTensorDesc,
	cudnnReduceTensorOp_t reduceTensorOp, cudnnDataType_t reduceTensorCompType, cudnnNanPropagation_t
	reduceTensorNanOpt, cudnnReduceTensorIndices_t reduceTensorIndices, cudnnIndicesType_t
	reduceTensorIndicesType);

/* Filters */
cudnnStatus_t CUDNNWINAPI cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t *filterDesc);
cudnnStatus_t CUDNNWINAPI cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t filterDesc);
cudnnStatus_t CUDNNWINAPI cudnnGetFilter4dDescriptor(const cudnnFilterDescriptor_t filterDesc, cudnnDataType_t
	*dataType, cudnnTensorFormat_t *format, int *k, int *c, int *h, int *w);
cudnnStatus_t CUDNNWINAPI cudnnGetFilterNdDescriptor(const cudnnFilterDescriptor_t filterDesc, int
	nbDimsRequested, cudnnDataType_t *dataType, cudnnTensorFormat_t *format, int *nbDims, int filterDimA[]);
cudnnStatus_t CUDNNWINAPI cudnnGetFilterSizeInBytes(const cudnnFilterDescriptor_t filterDesc, size_t *size);
cudnnStatus_t CUDNNWINAPI cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t filterDesc, cudnnDataType_t
	dataType, cudnnTensorFormat_t format, int k, int c, int h, int w);
cudnnStatus_t CUDNNWINAPI cudnnSetFilterNdDescriptor(cudnnFilterDescriptor_t filterDesc, cudnnDataType_t
	dataType, cudnnTensorFormat_t format, int nbDims, const int filterDimA[]);

/* Convolution */
cudnnStatus_t CUDNNWINAPI cudnnConvolutionBackwardBias(cudnnHandle_t handle, const void *alpha, const
	cudnnTensorDescriptor_t dyDesc, const void *dy, const void *beta, const cudnnTensorDescriptor_t dbDesc, void
	*db);
cudnnStatus_t CUDNNWINAPI cudnnConvolutionBackwardData(cudnnHandle_t handle, const void *alpha, const
	cudnnFilterDescriptor_t wDesc, const void *w, const cudnnTensorDescriptor_t dyDesc, const void *dy, const
	cudnnConvolutionDescriptor_t convDesc, cudnnConvolutionBwdDataAlgo_t algo, void *workSpace, size_t
	workSpaceSizeInBytes, const void *beta, const cudnnTensorDescriptor_t dxDesc, void *dx);
cudnnStatus_t CUDNNWINAPI cudnnConvolutionBackwardFilter(cudnnHandle_t handle, const void *alpha, const
	cudnnTensorDescriptor_t xDesc, const void *x, const cudnnTensorDescriptor_t dyDesc, const void *dy, const
	cudnnConvolutionDescriptor_t convDesc, cudnnConvolutionBwdFilterAlgo_t algo, void *workSpace, size_t
	workSpaceSizeInBytes, const void *beta, const cudnnFilterDescriptor_t dwDesc, void *dw);
cudnnStatus_t CUDNNWINAPI cudnnConvolutionBiasActivationForward(cudnnHandle_t handle, const void *alpha1, const
	cudnnTensorDescriptor_t xDesc, const void *x, const cudnnFilterDescriptor_t wDesc, const void *w, const
	cudnnConvolutionDescriptor_t convDesc, cudnnConvolutionFwdAlgo_t algo, void *workSpace, size_t
	workSpaceSizeInBytes, const void *alpha2, const cudnnTensorDescriptor_t zDesc, const void *z, const
	cudnnTensorDescriptor_t biasDesc, const void *bias, const cudnnActivationDescriptor_t activationDesc, const
	cudnnTensorDescriptor_t yDesc, void *y);
cudnnStatus_t CUDNNWINAPI cudnnConvolutionForward(cudnnHandle_t handle, const void *alpha, const
	cudnnTensorDescriptor_t xDesc, const void *x, const cudnnFilterDescriptor_t wDesc, const void *w, const
	cudnnConvolutionDescriptor_t convDesc, cudnnConvolutionFwdAlgo_t algo, void *workSpace, size_t
	workSpaceSizeInBytes, const void *beta, const cudnnTensorDescriptor_t yDesc, void *y);
cudnnStatus_t CUDNNWINAPI cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t *convDesc);
cudnnStatus_t CUDNNWINAPI cudnnDestroyConvolutionDescriptor(cudnnConvolutionDescriptor_t convDesc);
cudnnStatus_t CUDNNWINAPI cudnnFindConvolutionBackwardDataAlgorithm(cudnnHandle_t handle, const
	cudnnFilterDescriptor_t wDesc, const cudnnTensorDescriptor_t dyDesc, const cudnnConvolutionDescriptor_t
	convDesc, const cudnnTensorDescriptor_t dxDesc, const int requestedAlgoCount, int *returnedAlgoCount,
	cudnnConvolutionBwdDataAlgoPerf_t *perfResults);
cudnnStatus_t CUDNNWINAPI cudnnFindConvolutionBackwardDataAlgorithmEx(cudnnHandle_t handle, const
	cudnnFilterDescriptor_t wDesc, const void *w, const cudnnTensorDescriptor_t dyDesc, const void *dy, const
	cudnnConvolutionDescriptor_t convDesc, const cudnnTensorDescriptor_t dxDesc, void *dx, const int
	requestedAlgoCount, int *returnedAlgoCount, cudnnConvolutionBwdDataAlgoPerf_t *perfResults, void *workSpace,
	size_t workSpaceSizeInBytes);
cudnnStatus_t CUDNNWINAPI cudnnFindConvolutionBackwardFilterAlgorithm(cudnnHandle_t handle, const
	cudnnTensorDescriptor_t xDesc, const cudnnTensorDescriptor_t dyDesc, const cudnnConvolutionDescriptor_t
	convDesc, const cudnnFilterDescriptor_t dwDesc, const int requestedAlgoCount, int *returnedAlgoCount,
	cudnnConvolutionBwdFilterAlgoPerf_t *perfResults);
cudnnStatus_t CUDNNWINAPI cudnnFindConvolutionBackwardFilterAlgorithmEx(cudnnHandle_t handle, const
	cudnnTensorDescriptor_t xDesc, const void *x, const cudnnTensorDescriptor_t dyDesc, const void *y, const
	cudnnConvolutionDescriptor_t convDesc, const cudnnFilterDescriptor_t dwDesc, void *dw, const int
	requestedAlgoCount, int *returnedAlgoCount, cudnnConvolutionBwdFilterAlgoPerf_t *perfResults, void *workSpace,
	size_t workSpaceSizeInBytes);
cudnnStatus_t CUDNNWINAPI cudnnFindConvolutionForwardAlgorithm(cudnnHandle_t handle, const
	cudnnTensorDescriptor_t xDesc, const cudnnFilterDescriptor_t wDesc, const cudnnConvolutionDescriptor_t
	convDesc, const cudnnTensorDescriptor_t yDesc, const int requestedAlgoCount, int *returnedAlgoCount,
	cudnnConvolutionFwdAlgoPerf_t *perfResults);
cudnnStatus_t CUDNNWINAPI cudnnFindConvolutionForwardAlgorithmEx(cudnnHandle_t handle, const
	cudnnTensorDescriptor_t xDesc, const void *x, const cudnnFilterDescriptor_t wDesc, const void *w, const
	cudnnConvolutionDescriptor_t convDesc, const cudnnTensorDescriptor_t yDesc, void *y, const int
	requestedAlgoCount, int *returnedAlgoCount, cudnnConvolutionFwdAlgoPerf_t *perfResults, void *workSpace, size_t
	workSpaceSizeInBytes);
cudnnStatus_t CUDNNWINAPI cudnnGetConvolution2dDescriptor(const cudnnConvolutionDescriptor_t convDesc, int
	*pad_h, int *pad_w, int *u, int *v, int *dilation_h, int *dilation_w, cudnnConvolutionMode_t *mode,
	cudnnDataType_t *computeType);
cudnnStatus_t CUDNNWINAPI cudnnGetConvolution2dForwardOutputDim(const cudnnConvolutionDescriptor_t convDesc,
	const cudnnTensorDescriptor_t inputTensorDesc, const cudnnFilterDescriptor_t filterDesc, int *n, int *c, int
	*h, int *w);
cudnnStatus_t CUDNNWINAPI cudnnGetConvolutionBackwardDataAlgorithm_v7(cudnnHandle_t handle, const
	cudnnFilterDescriptor_t filterDesc, const cudnnTensorDescriptor_t diffDesc, const cudnnConvolutionDescriptor_t
	convDesc, const cudnnTensorDescriptor_t gradDesc, const int requestedAlgoCount, int *returnedAlgoCount,
	cudnnConvolutionBwdDataAlgoPerf_t *perfResults);
cudnnStatus_t CUDNNWINAPI cudnnGetConvolutionBackwardDataAlgorithmMaxCount(cudnnHandle_t handle, int *count);
cudnnStatus_t CUDNNWINAPI cudnnGetConvolutionBackwardDataWorkspaceSize(cudnnHandle_t handle, const
	cudnnFilterDescriptor_t wDesc, const cudnnTensorDescriptor_t dyDesc, const cudnnConvolutionDescriptor_t
	convDesc, const cudnnTensorDescriptor_t dxDesc, cudnnConvolutionBwdDataAlgo_t algo, size_t *sizeInBytes);
cudnnStatus_t CUDNNWINAPI cudnnGetConvolutionBackwardFilterAlgorithm_v7(cudnnHandle_t handle, const
	cudnnTensorDescriptor_t srcDesc, const cudnnTensorDescriptor_t diffDesc, const cudnnConvolutionDescriptor_t
	convDesc, const cudnnFilterDescriptor_t gradDesc, const int requestedAlgoCount, int *returnedAlgoCount,
	cudnnConvolutionBwdFilterAlgoPerf_t *perfResults);
cudnnStatus_t CUDNNWINAPI cudnnGetConvolutionBackwardFilterAlgorithmMaxCount(cudnnHandle_t handle, int *count);
cudnnStatus_t CUDNNWINAPI cudnnGetConvolutionBackwardFilterWorkspaceSize(cudnnHandle_t handle, const
	cudnnTensorDescriptor_t xDesc, const cudnnTensorDescriptor_t dyDesc, const cudnnConvolutionDescriptor_t
	convDesc, const cudnnFilterDescriptor_t gradDesc, cudnnConvolutionBwdFilterAlgo_t algo, size_t *sizeInBytes);
cudnnStatus_t CUDNNWINAPI cudnnGetConvolutionForwardAlgorithm_v7(cudnnHandle_t handle, const
	cudnnTensorDescriptor_t srcDesc, const cudnnFilterDescriptor_t filterDesc, const cudnnConvolutionDescriptor_t
	convDesc, const cudnnTensorDescriptor_t destDesc, const int requestedAlgoCount, int *returnedAlgoCount,
	cudnnConvolutionFwdAlgoPerf_t *perfResults);
cudnnStatus_t CUDNNWINAPI cudnnGetConvolutionForwardAlgorithmMaxCount(cudnnHandle_t handle, int *count);
cudnnStatus_t CUDNNWINAPI cudnnGetConvolutionForwardWorkspaceSize(cudnnHandle_t handle, const
	cudnnTensorDescriptor_t xDesc, const cudnnFilterDescriptor_t wDesc, const cudnnConvolutionDescriptor_t
	convDesc, const cudnnTensorDescriptor_t yDesc, cudnnConvolutionFwdAlgo_t algo, size_t *sizeInBytes);
cudnnStatus_t CUDNNWINAPI cudnnGetConvolutionGroupCount(cudnnConvolutionDescriptor_t convDesc, int *groupCount);
cudnnStatus_t CUDNNWINAPI cudnnGetConvolutionMathType(cudnnConvolutionDescriptor_t convDesc, cudnnMathType_t
	*mathType);
cudnnStatus_t CUDNNWINAPI cudnnGetConvolutionNdDescriptor(const cudnnConvolutionDescriptor_t convDesc, int
	arrayLengthRequested, int *arrayLength, int padA[], int strideA[], int dilationA[], cudnnConvolutionMode_t
	*mode, cudnnDataType_t *computeType);
cudnnStatus_t CUDNNWINAPI cudnnGetConvolutionNdForwardOutputDim(const cudnnConvolutionDescriptor_t convDesc,
	const cudnnTensorDescriptor_t inputTensorDesc, const cudnnFilterDescriptor_t filterDesc, int nbDims, int
	tensorOuputDimA[]);
cudnnStatus_t CUDNNWINAPI cudnnGetConvolutionReorderType(cudnnConvolutionDescriptor_t convDesc,
	cudnnReorderType_t *reorderType);
cudnnStatus_t CUDNNWINAPI cudnnGetFoldedConvBackwardDataDescriptors(const cudnnHandle_t handle, const
	cudnnFilterDescriptor_t filterDesc, const cudnnTensorDescriptor_t diffDesc, const cudnnConvolutionDescriptor_t
	convDesc, const cudnnTensorDescriptor_t gradDesc, const cudnnTensorFormat_t transformFormat,
	cudnnFilterDescriptor_t foldedFilterDesc, cudnnTensorDescriptor_t paddedDiffDesc, cudnnConvolutionDescriptor_t
	foldedConvDesc, cudnnTensorDescriptor_t foldedGradDesc, cudnnTensorTransformDescriptor_t filterFoldTransDesc,
	cudnnTensorTransformDescriptor_t diffPadTransDesc, cudnnTensorTransformDescriptor_t gradFoldTransDesc,
	cudnnTensorTransformDescriptor_t gradUnfoldTransDesc);
cudnnStatus_t CUDNNWINAPI cudnnIm2Col(cudnnHandle_t handle, const cudnnTensorDescriptor_t xDesc, const void *x,
	const cudnnFilterDescriptor_t wDesc, const cudnnConvolutionDescriptor_t convDesc, void *colBuffer);
cudnnStatus_t CUDNNWINAPI cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t convDesc, int pad_h, int
	pad_w, int u, int v, int dilation_h, int dilation_w, cudnnConvolutionMode_t mode, cudnnDataType_t computeType);
cudnnStatus_t CUDNNWINAPI cudnnSetConvolutionGroupCount(cudnnConvolutionDescriptor_t convDesc, int groupCount);
cudnnStatus_t CUDNNWINAPI cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t convDesc, cudnnMathType_t
	mathType);
cudnnStatus_t CUDNNWINAPI cudnnSetConvolutionNdDescriptor(cudnnConvolutionDescriptor_t convDesc, int
	arrayLength, const int padA[], const int filterStrideA[], const int dilationA[], cudnnConvolutionMode_t mode,
	cudnnDataType_t computeType);
cudnnStatus_t CUDNNWINAPI cudnnSetConvolutionReorderType(cudnnConvolutionDescriptor_t convDesc,
	cudnnReorderType_t reorderType);

/* Pooling */
cudnnStatus_t CUDNNWINAPI cudnnCreatePoolingDescriptor(cudnnPoolingDescriptor_t *poolingDesc);
cudnnStatus_t CUDNNWINAPI cudnnDestroyPoolingDescriptor(cudnnPoolingDescriptor_t poolingDesc);
cudnnStatus_t CUDNNWINAPI cudnnGetPooling2dDescriptor(const cudnnPoolingDescriptor_t poolingDesc,
	cudnnPoolingMode_t *mode, cudnnNanPropagation_t *maxpoolingNanOpt, int *windowHeight, int *windowWidth, int
	*verticalPadding, int *horizontalPadding, int *verticalStride, int *horizontalStride);
cudnnStatus_t CUDNNWINAPI cudnnGetPooling2dForwardOutputDim(const cudnnPoolingDescriptor_t poolingDesc, const
	cudnnTensorDescriptor_t inputTensorDesc, int *n, int *c, int *h, int *w);
cudnnStatus_t CUDNNWINAPI cudnnGetPoolingNdDescriptor(const cudnnPoolingDescriptor_t poolingDesc, int
	nbDimsRequested, cudnnPoolingMode_t *mode, cudnnNanPropagation_t *maxpoolingNanOpt, int *nbDims, int
	windowDimA[], int paddingA[], int strideA[]);
cudnnStatus_t CUDNNWINAPI cudnnGetPoolingNdForwardOutputDim(const cudnnPoolingDescriptor_t poolingDesc, const
	cudnnTensorDescriptor_t inputTensorDesc, int nbDims, int outputTensorDimA[]);
cudnnStatus_t CUDNNWINAPI cudnnPoolingBackward(cudnnHandle_t handle, const cudnnPoolingDescriptor_t poolingDesc,
	const void *alpha, const cudnnTensorDescriptor_t yDesc, const void *y, const cudnnTensorDescriptor_t dyDesc,
	const void *dy, const cudnnTensorDescriptor_t xDesc, const void *x, const void *beta, const
	cudnnTensorDescriptor_t dxDesc, void *dx);
cudnnStatus_t CUDNNWINAPI cudnnPoolingForward(cudnnHandle_t handle, const cudnnPoolingDescriptor_t poolingDesc,
	const void *alpha, const cudnnTensorDescriptor_t xDesc, const void *x, const void *beta, const
	cudnnTensorDescriptor_t yDesc, void *y);
cudnnStatus_t CUDNNWINAPI cudnnSetPooling2dDescriptor(cudnnPoolingDescriptor_t poolingDesc, cudnnPoolingMode_t
	mode, cudnnNanPropagation_t maxpoolingNanOpt, int windowHeight, int windowWidth, int verticalPadding, int
	horizontalPadding, int verticalStride, int horizontalStride);
cudnnStatus_t CUDNNWINAPI cudnnSetPoolingNdDescriptor(cudnnPoolingDescriptor_t poolingDesc, const
	cudnnPoolingMode_t mode, const cudnnNanPropagation_t maxpoolingNanOpt, int nbDims, const int windowDimA[],
	const int paddingA[], const int strideA[]);

/* Activation */
cudnnStatus_t CUDNNWINAPI cudnnActivationBackward(cudnnHandle_t handle, cudnnActivationDescriptor_t
	activationDesc, const void *alpha, const cudnnTensorDescriptor_t yDesc, const void *y, const
	cudnnTensorDescriptor_t dyDesc, const void *dy, const cudnnTensorDescriptor_t xDesc, const void *x, const void
	*beta, const cudnnTensorDescriptor_t dxDesc, void *dx);
cudnnStatus_t CUDNNWINAPI cudnnActivationForward(cudnnHandle_t handle, cudnnActivationDescriptor_t
	activationDesc, const void *alpha, const cudnnTensorDescriptor_t xDesc, const void *x, const void *beta, const
	cudnnTensorDescriptor_t yDesc, void *y);
cudnnStatus_t CUDNNWINAPI cudnnCreateActivationDescriptor(cudnnActivationDescriptor_t *activationDesc);
cudnnStatus_t CUDNNWINAPI cudnnDestroyActivationDescriptor(cudnnActivationDescriptor_t activationDesc);
cudnnStatus_t CUDNNWINAPI cudnnGetActivationDescriptor(const cudnnActivationDescriptor_t activationDesc,
	cudnnActivationMode_t *mode, cudnnNanPropagation_t *reluNanOpt, double *coef);
cudnnStatus_t CUDNNWINAPI cudnnSetActivationDescriptor(cudnnActivationDescriptor_t activationDesc,
	cudnnActivationMode_t mode, cudnnNanPropagation_t reluNanOpt, double coef);
cudnnStatus_t CUDNNWINAPI cudnnSetActivationDescriptorSwishBeta(cudnnActivationDescriptor_t activationDesc,
	double swish_beta);

/* Softmax */
cudnnStatus_t CUDNNWINAPI cudnnSoftmaxBackward(cudnnHandle_t handle, cudnnSoftmaxAlgorithm_t algo,
	cudnnSoftmaxMode_t mode, const void *alpha, const cudnnTensorDescriptor_t yDesc, const void *y, const
	cudnnTensorDescriptor_t dyDesc, const void *dy, const void *beta, const cudnnTensorDescriptor_t dxDesc, void
	*dx);
cudnnStatus_t CUDNNWINAPI cudnnSoftmaxForward(cudnnHandle_t handle, cudnnSoftmaxAlgorithm_t algo,
	cudnnSoftmaxMode_t mode, const void *alpha, const cudnnTensorDescriptor_t xDesc, const void *x, const void
	*beta, const cudnnTensorDescriptor_t yDesc, void *y);

/* Dropout */
cudnnStatus_t CUDNNWINAPI cudnnCreateDropoutDescriptor(cudnnDropoutDescriptor_t *dropoutDesc);
cudnnStatus_t CUDNNWINAPI cudnnDestroyDropoutDescriptor(cudnnDropoutDescriptor_t dropoutDesc);
cudnnStatus_t CUDNNWINAPI cudnnDropoutBackward(cudnnHandle_t handle, const cudnnDropoutDescriptor_t dropoutDesc,
	const cudnnTensorDescriptor_t dydesc, const void *dy, const cudnnTensorDescriptor_t dxdesc, void *dx, void
	*reserveSpace, size_t reserveSpaceSizeInBytes);
cudnnStatus_t CUDNNWINAPI cudnnDropoutForward(cudnnHandle_t handle, const cudnnDropoutDescriptor_t dropoutDesc,
	const cudnnTensorDescriptor_t xdesc, const void *x, const cudnnTensorDescriptor_t ydesc, void *y, void
	*reserveSpace, size_t reserveSpaceSizeInBytes);
cudnnStatus_t CUDNNWINAPI cudnnDropoutGetReserveSpaceSize(cudnnTensorDescriptor_t xdesc, size_t *sizeInBytes);
cudnnStatus_t CUDNNWINAPI cudnnDropoutGetStatesSize(cudnnHandle_t handle, size_t *sizeInBytes);
cudnnStatus_t CUDNNWINAPI cudnnGetDropoutDescriptor(cudnnDropoutDescriptor_t dropoutDesc, cudnnHandle_t handle,
	float *dropout, void **states, unsigned long long *seed);
cudnnStatus_t CUDNNWINAPI cudnnRestoreDropoutDescriptor(cudnnDropoutDescriptor_t dropoutDesc, cudnnHandle_t
	handle, float dropout, void *states, size_t stateSizeInBytes, unsigned long long seed);
cudnnStatus_t CUDNNWINAPI cudnnSetDropoutDescriptor(cudnnDropoutDescriptor_t dropoutDesc, cudnnHandle_t handle,
	float dropout, void *states, size_t stateSizeInBytes, unsigned long long seed);

/* Normalisation */
cudnnStatus_t CUDNNWINAPI cudnnBatchNormalizationBackward(cudnnHandle_t handle, cudnnBatchNormMode_t mode, const
	void *alphaDataDiff, const void *betaDataDiff, const void *alphaParamDiff, const void *betaParamDiff, const
	cudnnTensorDescriptor_t xDesc, const void *x, const cudnnTensorDescriptor_t dyDesc, const void *dy, const
	cudnnTensorDescriptor_t dxDesc, void *dx, const cudnnTensorDescriptor_t dBnScaleBiasDesc, const void *bnScale,
	void *dBnScaleResult, void *dBnBiasResult, double epsilon, const void *savedMean, const void
	*savedInvVariance);
cudnnStatus_t CUDNNWINAPI cudnnBatchNormalizationForwardInference(cudnnHandle_t handle, cudnnBatchNormMode_t
	mode, const void *alpha, const void *beta, const cudnnTensorDescriptor_t xDesc, const void *x, const
	cudnnTensorDescriptor_t yDesc, void *y, const cudnnTensorDescriptor_t bnScaleBiasMeanVarDesc, const void
	*bnScale, const void *bnBias, const void *estimatedMean, const void *estimatedVariance, double epsilon);
cudnnStatus_t CUDNNWINAPI cudnnBatchNormalizationForwardTraining(cudnnHandle_t handle, cudnnBatchNormMode_t
	mode, const void *alpha, const void *beta, const cudnnTensorDescriptor_t xDesc, const void *x, const
	cudnnTensorDescriptor_t yDesc, void *y, const cudnnTensorDescriptor_t bnScaleBiasMeanVarDesc, const void
	*bnScale, const void *bnBias, double exponentialAverageFactor, void *resultRunningMean, void
	*resultRunningVariance, double epsilon, void *resultSaveMean, void *resultSaveInvVariance);
cudnnStatus_t CUDNNWINAPI cudnnCreateLRNDescriptor(cudnnLRNDescriptor_t *normDesc);
cudnnStatus_t CUDNNWINAPI cudnnDestroyLRNDescriptor(cudnnLRNDescriptor_t lrnDesc);
cudnnStatus_t CUDNNWINAPI cudnnDivisiveNormalizationBackward(cudnnHandle_t handle, cudnnLRNDescriptor_t
	normDesc, cudnnDivNormMode_t mode, const void *alpha, const cudnnTensorDescriptor_t xDesc, const void *x, const
	void *means, const void *dy, void *temp, void *temp2, const void *beta, const cudnnTensorDescriptor_t
	dXdMeansDesc, void *dx, void *dMeans);
cudnnStatus_t CUDNNWINAPI cudnnDivisiveNormalizationForward(cudnnHandle_t handle, cudnnLRNDescriptor_t normDesc,
	cudnnDivNormMode_t mode, const void *alpha, const cudnnTensorDescriptor_t xDesc, const void *x, const void
	*means, void *temp, void *temp2, const void *beta, const cudnnTensorDescriptor_t yDesc, void *y);
cudnnStatus_t CUDNNWINAPI cudnnLRNCrossChannelBackward(cudnnHandle_t handle, cudnnLRNDescriptor_t normDesc,
	cudnnLRNMode_t lrnMode, const void *alpha, const cudnnTensorDescriptor_t yDesc, const void *y, const
	cudnnTensorDescriptor_t dyDesc, const void *dy, const cudnnTensorDescriptor_t xDesc, const void *x, const void
	*beta, const cudnnTensorDescriptor_t dxDesc, void *dx);
cudnnStatus_t CUDNNWINAPI cudnnLRNCrossChannelForward(cudnnHandle_t handle, cudnnLRNDescriptor_t normDesc,
	cudnnLRNMode_t lrnMode, const void *alpha, const cudnnTensorDescriptor_t xDesc, const void *x, const void
	*beta, const cudnnTensorDescriptor_t yDesc, void *y);
cudnnStatus_t CUDNNWINAPI cudnnSetLRNDescriptor(cudnnLRNDescriptor_t normDesc, unsigned lrnN, double lrnAlpha,
	double lrnBeta, double lrnK);

/* Recurrent networks, attention and sequences */
cudnnStatus_t CUDNNWINAPI cudnnCreateAttnDescriptor(cudnnAttnDescriptor_t *attnDesc);
cudnnStatus_t CUDNNWINAPI cudnnCreatePersistentRNNPlan(cudnnRNNDescriptor_t rnnDesc, const int minibatch, const
	cudnnDataType_t dataType, cudnnPersistentRNNPlan_t *plan);
cudnnStatus_t CUDNNWINAPI cudnnCreateRNNDataDescriptor(cudnnRNNDataDescriptor_t *rnnDataDesc);
cudnnStatus_t CUDNNWINAPI cudnnCreateRNNDescriptor(cudnnRNNDescriptor_t *rnnDesc);
cudnnStatus_t CUDNNWINAPI cudnnCreateSeqDataDescriptor(cudnnSeqDataDescriptor_t *seqDataDesc);
cudnnStatus_t CUDNNWINAPI cudnnDestroyAttnDescriptor(cudnnAttnDescriptor_t attnDesc);
cudnnStatus_t CUDNNWINAPI cudnnDestroyPersistentRNNPlan(cudnnPersistentRNNPlan_t plan);
cudnnStatus_t CUDNNWINAPI cudnnDestroyRNNDataDescriptor(cudnnRNNDataDescriptor_t rnnDataDesc);
cudnnStatus_t CUDNNWINAPI cudnnDestroyRNNDescriptor(cudnnRNNDescriptor_t rnnDesc);
cudnnStatus_t CUDNNWINAPI cudnnDestroySeqDataDescriptor(cudnnSeqDataDescriptor_t seqDataDesc);
cudnnStatus_t CUDNNWINAPI cudnnGetRNNLinLayerBiasParams(cudnnHandle_t handle, const cudnnRNNDescriptor_t
	rnnDesc, const int pseudoLayer, const cudnnTensorDescriptor_t xDesc, const cudnnFilterDescriptor_t wDesc, const
	void *w, const int linLayerID, cudnnFilterDescriptor_t linLayerBiasDesc, void **linLayerBias);
cudnnStatus_t CUDNNWINAPI cudnnGetRNNLinLayerMatrixParams(cudnnHandle_t handle, const cudnnRNNDescriptor_t
	rnnDesc, const int pseudoLayer, const cudnnTensorDescriptor_t xDesc, const cudnnFilterDescriptor_t wDesc, const
	void *w, const int linLayerID, cudnnFilterDescriptor_t linLayerMatDesc, void **linLayerMat);
cudnnStatus_t CUDNNWINAPI cudnnSetAttnDescriptor(cudnnAttnDescriptor_t attnDesc, unsigned attnMode, int nHeads,
	double smScaler, cudnnDataType_t dataType, cudnnDataType_t computePrec, cudnnMathType_t mathType,
	cudnnDropoutDescriptor_t attnDropoutDesc, cudnnDropoutDescriptor_t postDropoutDesc, int qSize, int kSize, int
	vSize, int qProjSize, int kProjSize, int vProjSize, int oProjSize, int qoMaxSeqLength, int kvMaxSeqLength, int
	maxBatchSize, int maxBeamSize);
cudnnStatus_t CUDNNWINAPI cudnnSetPersistentRNNPlan(cudnnRNNDescriptor_t rnnDesc, cudnnPersistentRNNPlan_t plan);
cudnnStatus_t CUDNNWINAPI cudnnSetRNNDataDescriptor(cudnnRNNDataDescriptor_t rnnDataDesc, cudnnDataType_t
	dataType, cudnnRNNDataLayout_t layout, int maxSeqLength, int batchSize, int vectorSize, const int
	seqLengthArray[], void *paddingFill);
cudnnStatus_t CUDNNWINAPI cudnnSetRNNDescriptor_v8(cudnnRNNDescriptor_t rnnDesc, cudnnRNNAlgo_t algo,
	cudnnRNNMode_t cellMode, cudnnRNNBiasMode_t biasMode, cudnnDirectionMode_t dirMode, cudnnRNNInputMode_t
	inputMode, cudnnDataType_t dataType, cudnnDataType_t mathPrec, cudnnMathType_t mathType, int32_t inputSize,
	int32_t hiddenSize, int32_t projSize, int32_t numLayers, cudnnDropoutDescriptor_t dropoutDesc, uint32_t
	auxFlags);
cudnnStatus_t CUDNNWINAPI cudnnSetRNNMatrixMathType(cudnnRNNDescriptor_t rnnDesc, cudnnMathType_t mType);
cudnnStatus_t CUDNNWINAPI cudnnSetSeqDataDescriptor(cudnnSeqDataDescriptor_t seqDataDesc, cudnnDataType_t
	dataType, int nbDims, const int dimA[], const cudnnSeqDataAxis_t axes[], size_t seqLengthArraySize, const int
	seqLengthArray[], void *paddingFill);

/* Spatial transformers and CTC loss */
cudnnStatus_t CUDNNWINAPI cudnnCreateSpatialTransformerDescriptor(cudnnSpatialTransformerDescriptor_t *stDesc);
cudnnStatus_t CUDNNWINAPI cudnnCTCLoss(cudnnHandle_t handle, const cudnnTensorDescriptor_t probsDesc, const void
	*probs, const int hostLabels[], const int hostLabelLengths[], const int hostInputLengths[], void *costs, const
	cudnnTensorDescriptor_t gradientsDesc, void *gradients, cudnnCTCLossAlgo_t algo, cudnnCTCLossDescriptor_t
	ctcLossDesc, void *workspace, size_t workSpaceSizeInBytes);
cudnnStatus_t CUDNNWINAPI cudnnDestroyCTCLossDescriptor(cudnnCTCLossDescriptor_t ctcLossDesc);
cudnnStatus_t CUDNNWINAPI cudnnDestroySpatialTransformerDescriptor(cudnnSpatialTransformerDescriptor_t stDesc);
cudnnStatus_t CUDNNWINAPI cudnnSetSpatialTransformerNdDescriptor(cudnnSpatialTransformerDescriptor_t stDesc,
	cudnnSamplerType_t samplerType, cudnnDataType_t dataType, const int nbDims, const int dimA[]);
cudnnStatus_t CUDNNWINAPI cudnnSpatialTfGridGeneratorBackward(cudnnHandle_t handle, const
	cudnnSpatialTransformerDescriptor_t stDesc, const void *dgrid, void *dtheta);
cudnnStatus_t CUDNNWINAPI cudnnSpatialTfGridGeneratorForward(cudnnHandle_t handle, const
	cudnnSpatialTransformerDescriptor_t stDesc, const void *theta, void *grid);
cudnnStatus_t CUDNNWINAPI cudnnSpatialTfSamplerBackward(cudnnHandle_t handle,
	cudnnSpatialTransformerDescriptor_t stDesc, const void *alpha, const cudnnTensorDescriptor_t xDesc, const void
	*x, const void *beta, const cudnnTensorDescriptor_t dxDesc, void *dx, const void *alphaDgrid, const
	cudnnTensorDescriptor_t dyDesc, const void *dy, const void *grid, const void *betaDgrid, void *dgrid);
cudnnStatus_t CUDNNWINAPI cudnnSpatialTfSamplerForward(cudnnHandle_t handle, cudnnSpatialTransformerDescriptor_t
	stDesc, const void *alpha, const cudnnTensorDescriptor_t xDesc, const void *x, const void *grid, const void
	*beta, cudnnTensorDescriptor_t yDesc, void *y);

/* Algorithm descriptors, fused operations and the backend */
cudnnStatus_t CUDNNWINAPI cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t descriptorType,
	cudnnBackendDescriptor_t *descriptor);
cudnnStatus_t CUDNNWINAPI cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor);
cudnnStatus_t CUDNNWINAPI cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor,
	cudnnBackendAttributeName_t attributeName, cudnnBackendAttributeType_t attributeType, int64_t elementCount,
	const void *arrayOfElements);
cudnnStatus_t CUDNNWINAPI cudnnCreateAlgorithmDescriptor(cudnnAlgorithmDescriptor_t *algoDesc);
cudnnStatus_t CUDNNWINAPI cudnnCreateAlgorithmPerformance(cudnnAlgorithmPerformance_t *algoPerf, int
	numberToCreate);
cudnnStatus_t CUDNNWINAPI cudnnCreateFusedOpsConstParamPack(cudnnFusedOpsConstParamPack_t *constPack,
	cudnnFusedOps_t ops);
cudnnStatus_t CUDNNWINAPI cudnnCreateFusedOpsVariantParamPack(cudnnFusedOpsVariantParamPack_t *varPack,
	cudnnFusedOps_t ops);
cudnnStatus_t CUDNNWINAPI cudnnDestroyAlgorithmDescriptor(cudnnAlgorithmDescriptor_t algoDesc);
cudnnStatus_t CUDNNWINAPI cudnnDestroyAlgorithmPerformance(cudnnAlgorithmPerformance_t *algoPerf, int
	numberToDestroy);
cudnnStatus_t CUDNNWINAPI cudnnDestroyFusedOpsConstParamPack(cudnnFusedOpsConstParamPack_t constPack);
cudnnStatus_t CUDNNWINAPI cudnnDestroyFusedOpsVariantParamPack(cudnnFusedOpsVariantParamPack_t varPack);
cudnnStatus_t CUDNNWINAPI cudnnSetAlgorithmDescriptor(cudnnAlgorithmDescriptor_t algoDesc, cudnnAlgorithm_t
	algorithm);
cudnnStatus_t CUDNNWINAPI cudnnSetAlgorithmPerformance(cudnnAlgorithmPerformance_t algoPerf,
	cudnnAlgorithmDescriptor_t algoDesc, cudnnStatus_t status, float time, size_t memory);
cudnnStatus_t CUDNNWINAPI cudnnSetFusedOpsConstParamPackAttribute(cudnnFusedOpsConstParamPack_t constPack,
	cudnnFusedOpsConstParamLabel_t paramLabel, const void *param);
cudnnStatus_t CUDNNWINAPI cudnnSetFusedOpsVariantParamPackAttribute(cudnnFusedOpsVariantParamPack_t varPack,
	cudnnFusedOpsVariantParamLabel_t paramLabel, void *ptr);

#ifdef __cplusplus
}
#endif

#endif

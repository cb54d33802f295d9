// What answers a call to a function that no loaded library has.
#ifndef GPUTRAIN_STANDIN_H
#define GPUTRAIN_STANDIN_H

// The slots that the trampolines jump through. A slot holds a function of a loaded library, or a stand-in.
extern void *gputrain_slots[] __attribute__((visibility("hidden")));

// The status that a library's stand-ins return.
struct gputrain_standin_status {
	int cuda, cudnn, cublas, cublaslt, nccl;
};
extern struct gputrain_standin_status gputrain_standin __attribute__((visibility("hidden")));

#endif

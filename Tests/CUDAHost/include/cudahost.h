// The CUDA engine's kernels, compiled for the CPU: what a card would compute, but for rounding.
#ifndef CUDAHOST_H
#define CUDAHOST_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Bytes of a kernel's arguments; 0: there is no kernel of that name.
size_t cudahost_arguments(const char *kernel);

// Runs a kernel, one thread after another: forwards, or from the last one. Returns 0 if there is no such kernel,
// -1 if it wrote behind the `shared` bytes of shared memory, -2 if a thread did not await earlier launches.
int32_t cudahost_launch(const char *kernel, const uint32_t grid[3], const uint32_t block[3],
                        uint32_t shared, const void *arguments, int32_t backwards);

#ifdef __cplusplus
}
#endif

#endif

#include "cudahost.h"

#include <math.h>
#include <string.h>

// What CUDA C++ has and C++ has not.
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
static float2 make_float2(float x, float y) { return {x, y}; }
static float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
struct Index {
  unsigned x, y, z;
};
static thread_local Index gridDim, blockIdx, blockDim, threadIdx;
static thread_local bool isBackwards;

#define __device__
#define __shared__ static thread_local
#define __launch_bounds__(...)
#define __int_as_float(bits) INFINITY
#define RSO_KERNEL static
static void __syncthreads() {}
static void __threadfence() {}
// Whether the kernel awaited earlier ones, as each must.
static thread_local bool hasAwaited;
static void awaitEarlier() { hasAwaited = true; }
static int atomicAdd(int *sum, int more) {
  int before = *sum;
  *sum += more;
  return before;
}

// All threads of a block, one after another.
struct Threads {
  unsigned done = 0;
  bool next() {
    if (done == blockDim.x) {
      threadIdx.x = 0;
      return false;
    }
    threadIdx.x = isBackwards ? blockDim.x - 1 - done : done;
    ++done;
    return true;
  }
};
#define RSO_THREADS for (Threads phase; phase.next();)
#define RSO_KEPT(threads) threads
#define RSO_SELF threadIdx.x

// As much as rso_gpu_shared, and something behind it.
static thread_local struct alignas(16) { float room[101376 / 4 + 16]; } sharedMemory;
#define RSO_SHARED(name) float *name = sharedMemory.room

#pragma clang diagnostic ignored "-Wpass-failed"
#include "../../Sources/CRSO/cuda/kernels.cu"

static_assert(sizeof sharedMemory > rso_gpu_shared, "");

namespace {

struct Kernel {
  const char *name;
  size_t size;
  // Its blocks work as a whole, in phases.
  bool isPhased;
  void (*run)(const void *);
};

template <typename Arguments, void (*kernel)(Arguments)> void call(const void *bytes) {
  Arguments arguments;
  memcpy(&arguments, bytes, sizeof arguments);
  kernel(arguments);
}

#define KERNEL(name, arguments, phased)                                                            \
  { #name, sizeof(arguments), phased, call<arguments, name> }

const Kernel kernels[] = {
    KERNEL(convolve16_3, rso_gpu_convolve, false), KERNEL(convolve16_1, rso_gpu_convolve, false),
    KERNEL(convolve16, rso_gpu_convolve, false),   KERNEL(convolve4, rso_gpu_convolve, false),
    KERNEL(tile7, rso_gpu_convolve, true),         KERNEL(tile4, rso_gpu_convolve, true),
    KERNEL(tile7_box, rso_gpu_convolve, true),     KERNEL(tile4_box, rso_gpu_convolve, true),
    KERNEL(matrix7, rso_gpu_convolve, true),       KERNEL(matrix8, rso_gpu_convolve, true),
    KERNEL(matrix7_box, rso_gpu_convolve, true),   KERNEL(matrix8_box, rso_gpu_convolve, true),
    KERNEL(matrix7_tf32, rso_gpu_convolve, true),  KERNEL(matrix8_tf32, rso_gpu_convolve, true),
    KERNEL(matrix7_box_tf32, rso_gpu_convolve, true),
    KERNEL(matrix8_box_tf32, rso_gpu_convolve, true),
    KERNEL(matrix7_halves, rso_gpu_convolve, true), KERNEL(matrix8_halves, rso_gpu_convolve, true),
    KERNEL(matrix7_box_halves, rso_gpu_convolve, true),
    KERNEL(matrix8_box_halves, rso_gpu_convolve, true),
    KERNEL(matrix7_fp16, rso_gpu_convolve, true),  KERNEL(matrix8_fp16, rso_gpu_convolve, true),
    KERNEL(matrix7_box_fp16, rso_gpu_convolve, true),
    KERNEL(matrix8_box_fp16, rso_gpu_convolve, true),
    KERNEL(mix7, rso_gpu_convolve, true),          KERNEL(mix4, rso_gpu_convolve, true),
    KERNEL(depthwise, rso_gpu_depthwise, false),
    KERNEL(pool, rso_gpu_pool, false),             KERNEL(pool_images, rso_gpu_pool, true),
               KERNEL(moments, rso_gpu_moments, true),
    KERNEL(settle, rso_gpu_settle, true),          KERNEL(add, rso_gpu_add, false),
    KERNEL(copy, rso_gpu_copy, false),             KERNEL(shift_add, rso_gpu_shift_add, true),
    KERNEL(load_images, rso_gpu_load, false),      KERNEL(pack, rso_gpu_pack, false),
    KERNEL(rows, rso_gpu_rows, false),             KERNEL(start, rso_gpu_choose, true),
    KERNEL(cross_entropy, rso_gpu_loss, true),     KERNEL(classify, rso_gpu_loss, true),
    KERNEL(sample_losses, rso_gpu_loss, true),     KERNEL(classify_losses, rso_gpu_loss, true),
    KERNEL(decide_given, rso_gpu_given, true),     KERNEL(take, rso_gpu_choose, true),
};

const Kernel *find(const char *name) {
  for (const Kernel &kernel : kernels)
    if (strcmp(kernel.name, name) == 0)
      return &kernel;
  return nullptr;
}

Index at(const uint32_t size[3], size_t number) {
  return {unsigned(number % size[0]), unsigned(number / size[0] % size[1]),
          unsigned(number / size[0] / size[1])};
}

} // namespace

size_t cudahost_arguments(const char *name) {
  const Kernel *kernel = find(name);
  return kernel ? kernel->size : 0;
}

int32_t cudahost_launch(const char *name, const uint32_t grid[3], const uint32_t block[3],
                        uint32_t shared, const void *arguments, int32_t backwards) {
  const Kernel *kernel = find(name);
  if (!kernel)
    return 0;
  isBackwards = backwards;
  blockDim = {block[0], block[1], block[2]};
  gridDim = {grid[0], grid[1], grid[2]};
  // What is new holds NaN, what lies behind it a mark.
  memset(&sharedMemory, 0xFF, sizeof sharedMemory);
  size_t blocks = size_t(grid[0]) * grid[1] * grid[2];
  size_t threads = kernel->isPhased ? 1 : size_t(block[0]) * block[1] * block[2];
  for (size_t b = 0; b < blocks; ++b) {
    blockIdx = at(grid, backwards ? blocks - 1 - b : b);
    for (size_t t = 0; t < threads; ++t) {
      threadIdx = at(block, backwards ? threads - 1 - t : t);
      hasAwaited = false;
      kernel->run(arguments);
      if (!hasAwaited)
        return -2;
    }
  }
  for (size_t i = (shared + 3) / 4; i < sizeof sharedMemory / 4; ++i) {
    uint32_t bits;
    memcpy(&bits, sharedMemory.room + i, 4);
    if (bits != 0xFFFFFFFF)
      return -1;
  }
  return 1;
}

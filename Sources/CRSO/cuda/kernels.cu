// The kernels of the CUDA engine, without any policy. crso_cuda.h defines their arguments and the layout of values.
//
// Threads of a warp have neighbouring samples, so reads and writes are whole cache lines. All threads look at the same
// place of their images, so a tap lies outside for all of them or for none.
// Sums over samples run over fixed chunks in a fixed tree. They use double precision, except for the few numbers that a
// thread of a convolution holds in registers.
#define RSO_KERNELS
#define RSO_INFINITY __int_as_float(0x7f800000)
#include "crso_rule.h"
#include "crso_cuda.h"

// The tests define their own versions of these.
#ifndef RSO_KERNEL
#define RSO_KERNEL extern "C" __global__
#endif

// The shared memory that a launch asks for.
#ifndef RSO_SHARED
#define RSO_CARD
#define RSO_SHARED(name)                                                                           \
  extern __shared__ float4 rso_shared[];                                                           \
  float *name = (float *)rso_shared
#endif

// Every kernel begins with it. A launch may begin before the one in front of it ends (`CUDAModule.launch`): behind this line all
// that the earlier one wrote is there, and the next one may begin. Elsewhere it costs nothing.
#ifdef RSO_CARD
static __device__ void awaitEarlier() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
#endif

// Four samples of one place.
struct Quad {
  float v[rso_gpu_quad];
};

// The map that a reader applies to an operand's numbers; the same for all samples of a channel.
struct Map {
  float scale, offset;
  bool affine;
  rso_activation activation;
};

// The functions that a reader applies, up to rso_sign. Only `copy` computes the others, which would make the code of every
// reader larger and slower.
static __device__ float activate(const rso_activation &a, float x) {
  switch (a.function) {
  case rso_relu: return x < 0 ? 0 : x;
  case rso_leaky_relu: return x < 0 ? a.slope * x : x;
  case rso_sigmoid: return 1 / (1 + expf(-x));
  case rso_tanh: return tanhf(x);
  case rso_sign: return x < 0 ? -1 : 1;
  default: return x;
  }
}

// NaN passes.
static __device__ float clip(float x, float low, float high) { return x < low ? low : x > high ? high : x; }

static __device__ float activateAny(const rso_activation &a, float x) {
  switch (a.function) {
  case rso_gelu: return 0.5f * x * erfcf(-0.707106781f * x);
  case rso_silu: return x / (1 + expf(-x));
  case rso_hard_sigmoid: return clip(x + 3, 0, 6) * (1.0f / 6);
  case rso_hard_swish: return x * (clip(x + 3, 0, 6) * (1.0f / 6));
  case rso_hard_step: return x < 0 ? 0 : 1;
  case rso_quantize: {
    // Rounds to the nearest integer, ties to even.
    const float width = 1 - a.low, level = rintf((clip(x, a.low, 1) - a.low) * (a.steps / width));
    // By a power of two: exact.
    return (level * width + a.low * a.steps) * (1 / (a.steps + 1));
  }
  default: return activate(a, x);
  }
}

static __device__ Map map(const rso_gpu_operand &x, int candidate, int channel) {
  Map m = {1, 0, x.scale != 0, x.activation};
  if (m.affine) {
    m.scale = x.scale[candidate * x.affine_stride + channel];
    m.offset = x.offset[candidate * x.affine_stride + channel];
  }
  if (x.unit != 0) {
    m.scale *= x.unit;
    m.affine = true;
  }
  return m;
}

static __device__ float apply(const Map &m, float x) {
  // Rounded once, as the other engines do: rounding may decide the level of a step.
  float y = m.affine ? fmaf(m.scale, x, m.offset) : x;
  // ReLU is by far the most common, and this form has no branch.
  const rso_function f = m.activation.function;
  return f == rso_relu ? (y < 0 ? 0 : y) : f != rso_identity ? activate(m.activation, y) : y;
}

// max(scale * x + offset, floor): a map with ReLU or without activation, by far the most common ones.
struct Ramp {
  float scale, offset, floor;
};

static __device__ Ramp ramp(const Map &m) {
  return {m.scale, m.offset, m.activation.function == rso_relu ? 0 : -RSO_INFINITY};
}

static __device__ Ramp ramp(const rso_gpu_operand &x, int candidate, int channel) {
  return ramp(map(x, candidate, channel));
}

static __device__ float apply(const Ramp &ramp, float x) {
  float y = ramp.scale * x + ramp.offset;
#ifdef RSO_CARD
  // NaN stays NaN.
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(y) : "f"(y), "f"(ramp.floor));
  return y;
#else
  return y < ramp.floor ? ramp.floor : y;
#endif
}

#include "numbers.cu"

template <class Pointer> static __device__ Quad load(const Map &m, const Pointer &x) {
  Quad quad = load(x);
  for (int k = 0; k < rso_gpu_quad; ++k)
    quad.v[k] = apply(m, quad.v[k]);
  return quad;
}

// A thread's first sample, and its place, which comes from `y` of the grid.
static __device__ int sample() { return (blockIdx.x * blockDim.x + threadIdx.x) * rso_gpu_quad; }
static __device__ int place() { return blockIdx.y * blockDim.y + threadIdx.y; }

// The input place under a tap of the window at an output place; negative: outside.
static __device__ int under(const rso_gpu_slide &w, int place, int tap) {
  int row = place / w.out_width * w.stride - w.padding + tap / w.kernel_width;
  int column = place % w.out_width * w.stride - w.padding + tap % w.kernel_width;
  bool inside = row >= 0 && row < w.height && column >= 0 && column < w.width;
  return inside ? row * w.width + column : -1;
}

// Blocks that add up run in phases, each for all threads of the block, with __syncthreads() between them. On a card
// every thread runs the loop once; in the tests one thread runs after another.
#ifndef RSO_THREADS
struct Threads {
  bool isLeft = true;
  __device__ bool next() {
    bool now = isLeft;
    isLeft = false;
    return now;
  }
};
#define RSO_THREADS for (Threads phase; phase.next();)
#endif

// What a thread keeps from one phase to the next: an array with RSO_KEPT elements, of which RSO_SELF is its own.
#ifndef RSO_SELF
#define RSO_KEPT(threads) 1
#define RSO_SELF 0
#endif

// Chunks of samples are added up in a binary tree over their numbers, like in Swift's Reduction: the sum of chunks
// [i * 2^k, (i + 1) * 2^k) is the sum of the first half plus that of the second. A half without chunks counts as zero.

// The tree over COUNT numbers that are STRIDE apart; COUNT is a power of two.
template <int COUNT, int STRIDE> struct Tree {
  static __device__ double sum(const double *x) {
    return Tree<COUNT / 2, STRIDE>::sum(x) + Tree<COUNT / 2, STRIDE>::sum(x + COUNT / 2 * STRIDE);
  }
};
template <int STRIDE> struct Tree<1, STRIDE> {
  static __device__ double sum(const double *x) { return *x; }
};

// One thread's node of the tree over `count` chunks, `stride` apart. All `threads` have nodes of the same size.
static __device__ double branch(const volatile double *x, int stride, int count, int thread, int threads) {
  int each = 1;
  while (each * threads < count)
    each *= 2;
  // Nodes that wait for their second half, the largest first: one for each 1 bit in the number of chunks so far.
  double sums[32];
  int depth = 0;
  for (int i = 0; i < each && thread * each + i < count; ++i) {
    sums[depth++] = x[(long long)(thread * each + i) * stride];
    for (int n = i; n & 1; n >>= 1) {
      --depth;
      sums[depth - 1] += sums[depth];
    }
  }
  double sum = depth ? sums[--depth] : 0;
  while (depth)
    sum = sums[--depth] + sum;
  return sum;
}

// Adds up each row of numbers, one per thread, in the tree; sums[row][0] becomes the row's sum. All threads of a block
// of rso_gpu_threads must call, with at most that many rows.
static __device__ void addUp(double (*sums)[rso_gpu_threads], int rows) {
  enum { parts = 32, each = rso_gpu_threads / parts };
  __syncthreads();
  RSO_THREADS {
    for (int i = threadIdx.x; i < rows * parts; i += rso_gpu_threads) {
      double *own = sums[i / parts] + i % parts * each;
      *own = Tree<each, 1>::sum(own);
    }
  }
  __syncthreads();
  RSO_THREADS {
    int row = threadIdx.x;
    if (row < rows)
      sums[row][0] = Tree<parts, each>::sum(sums[row]);
  }
  __syncthreads();
}

#include "layers.cu"
#include "tile.cu"
#include "matrix.cu"
#include "mix.cu"
#include "lone.cu"
#include "weights.cu"
#include "decide.cu"
#include "losses.cu"

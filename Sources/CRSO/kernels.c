// One source, compiled for every instruction set; the best one is chosen at run time.
#include "crso.h"

#if defined(__x86_64__)

#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,fma"))), \
                             apply_to = function)
#define NAME(f) avx512_##f
#define WIDTH 16
#define TILE 8
#define SET_NAME "avx512"
#include "kernels.inc"
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#define NAME(f) avx2_##f
#define WIDTH 8
#define TILE 4
#define SET_NAME "avx2"
#include "kernels.inc"
#pragma clang attribute pop

#endif

// 128-bit vectors: NEON on arm64, SSE2 on x86-64, whatever the compiler makes of them elsewhere.
#define NAME(f) portable_##f
#define WIDTH 4
#if defined(__aarch64__)
#define TILE 8
#else
#define TILE 4
#endif
#define SET_NAME "portable"
#include "kernels.inc"

const rso_kernels *rso_kernels_at(int32_t index) {
  const rso_kernels *found[4] = {NULL};
  int count = 0;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
    found[count++] = &avx512_kernels;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    found[count++] = &avx2_kernels;
#endif
  found[count++] = &portable_kernels;
  return index >= 0 && index < count ? found[index] : NULL;
}

void rso_load_images(const uint8_t *images, const int32_t *samples, const float *table,
                     int32_t channels, int32_t area, float *y) {
  const ptrdiff_t size = (ptrdiff_t)channels * area;
  for (int s = 0; s < rso_block; s++) {
    if (samples[s] < 0) {
      for (ptrdiff_t i = 0; i < size; i++) y[i * rso_block + s] = 0;
      continue;
    }
    const uint8_t *image = images + samples[s] * size;
    for (int c = 0; c < channels; c++)
      for (int i = 0; i < area; i++)
        y[((ptrdiff_t)c * area + i) * rso_block + s] = table[256 * c + image[c * area + i]];
  }
}

void rso_load_floats(const float *images, const int32_t *samples, const float *mean,
                     int32_t channels, int32_t area, float *y) {
  const ptrdiff_t size = (ptrdiff_t)channels * area;
  for (int s = 0; s < rso_block; s++) {
    const float *image = samples[s] < 0 ? NULL : images + samples[s] * size;
    for (ptrdiff_t i = 0; i < size; i++)
      y[i * rso_block + s] = image ? image[i] - mean[i / area] : 0;
  }
}

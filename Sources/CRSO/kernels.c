// One source, compiled for every instruction set. The best set is chosen at run time.
#include "crso.h"

// The number of outputs of the tile at `start`: fours first, then threes.
static inline int rso_tile_size(int start, int size) {
  const int left = size - start;
  return left % 4 == 0 || (left % 4 == 3 && left > 3) || left > 9 ? 4 : 3;
}

// The number of tiles with four and with three outputs in a row; the fours come first.
typedef struct {
  int fours, threes;
} rso_tiles;

static inline rso_tiles rso_tiles_of(int size) {
  rso_tiles tiles = {0};
  for (int x = 0, m; x < size; x += m) {
    m = rso_tile_size(x, size);
    *(m == 4 ? &tiles.fours : &tiles.threes) += 1;
  }
  return tiles;
}

// Floats of a mixed channel at the points.
static int64_t rso_size_of_mixed(const rso_source *s) {
  const rso_tiles tiles = rso_tiles_of(s->width);
  return s->at_points ? (tiles.fours * 6 + tiles.threes * 5) * s->mixing.height * rso_block : 0;
}

// Floats of each part of a layer's workspace.
typedef struct {
  int64_t rows, mixed, lines, moments, m, v;
  rso_tiles tiles;
  // Floats of the points along one row of tiles. An odd number of vectors spreads them over a cache's sets.
  int64_t across;
} rso_layer_sizes;

static rso_layer_sizes rso_sizes_of_layer(const rso_layer *a) {
  const int most = a->stride == 1 ? 6 : 9;
  const int64_t lanes = a->source.lanes < 3 ? a->source.lanes : 3;
  rso_layer_sizes sizes = {.tiles = rso_tiles_of(a->out_width)};
  const int points = a->stride == 1 ? sizes.tiles.fours * 6 + sizes.tiles.threes * 5
                                    : sizes.tiles.fours * 9 + sizes.tiles.threes * 7;
  sizes.across = (points | 1) * rso_block;
  sizes.rows = (most + 1) * a->source.width * rso_block;
  sizes.mixed = lanes * rso_size_of_mixed(&a->source);
  sizes.lines = (int64_t)(most + 2) * a->source.width * rso_block;
  sizes.moments = a->out_channels * lanes * 2 * rso_block;
  // With few registers, m holds points instead of outputs, for all lanes together.
  sizes.m = most * 9 * rso_tile * lanes * rso_block;
  sizes.v = sizes.across * a->source.channels * lanes * most;
  return sizes;
}

int64_t rso_layer_workspace(const rso_layer *a) {
  const rso_layer_sizes sizes = rso_sizes_of_layer(a);
  return sizes.rows + sizes.mixed + sizes.lines + sizes.moments + sizes.m + sizes.v;
}

int64_t rso_source_workspace(const rso_source *s) {
  return (s->lanes < 3 ? 3 : s->lanes) * rso_size_of_mixed(s);
}

int rso_has_layer(int32_t out_height, int32_t out_width) {
  // All positive numbers except these are sums of fours and threes.
  const int other = 1 << 1 | 1 << 2 | 1 << 5;
  return out_height > 0 && out_width > 0 && (out_height > 5 || !(other >> out_height & 1)) &&
         (out_width > 5 || !(other >> out_width & 1));
}

int rso_has_rows(const rso_window *w) {
  return w->kernel == 3 && (w->stride == 1 || w->stride == 2) && w->padding <= 1 &&
         (w->out_width - 1) * w->stride - w->padding + 3 <= w->width + 1;
}

// Pixels that an integer layer computes at once.
enum { rso_most_pixels = 3 };

// What a layer of integers reads: floats, 16-bit integers, or floats with a mixed channel.
enum { rso_floats, rso_shorts, rso_mixed };

// A channel of a layer of integers' source: its place after the first one, its norm, and its weights for a mixed channel,
// whose sum is added to `start`, the bits of `base`.
typedef struct {
  ptrdiff_t at;
  float scale, offset, base;
  int32_t start, w[3];
} rso_integer_channel;

// Floats of each part of an integer layer's workspace, and the sizes of its bytes with their padding.
typedef struct {
  // terms: dot products of a row of weights; points: rows of all tiles at their points
  int groups, rows, columns, terms, rows_of_weights, points, outputs;
  int64_t mixed, offsets, moments, bytes, bytes_at_points;
} rso_integer_sizes;

// Integers of a mixed channel's bytes.
static int64_t rso_size_of_mixed_bytes(const rso_integer_source *s) {
  const rso_window *w = &s->mixing.window;
  if (!w->kernel) return 0;
  return (int64_t)(w->height + 2 * w->padding) * (w->width + 2 * w->padding) * rso_block;
}

int64_t rso_integer_source_workspace(const rso_integer_source *s) {
  return s->lanes * rso_size_of_mixed_bytes(s);
}

static rso_integer_sizes rso_sizes_of_integers(const rso_integer_layer *a) {
  const rso_integer_source *s = &a->source;
  const int padding = a->window.padding, kernel = a->window.kernel;
  const rso_tiles tiles = rso_tiles_of(a->window.out_height);
  rso_integer_sizes sizes = {
      .groups = (s->channels + 3) / 4,
      .rows = s->height + 2 * padding,
      .columns = s->width + 2 * padding,
      .rows_of_weights = a->at_points ? 11 : 1,
      .points = a->at_points ? tiles.fours * 6 + tiles.threes * 5 : 0,
      .outputs = (a->out_channels + rso_tile - 1) / rso_tile * rso_tile,
      .mixed = rso_size_of_mixed_bytes(s),
      .moments = 2 * (int64_t)a->out_channels * rso_block,
  };
  sizes.terms = sizes.groups * kernel * (a->at_points ? 1 : kernel);
  sizes.offsets = ((int64_t)sizes.terms + rso_block - 1) / rso_block * rso_block;
  const int64_t line = (int64_t)sizes.columns * rso_block;
  // At points, one group of four channels at a time.
  sizes.bytes = (a->at_points ? 1 : sizes.groups) * sizes.rows * line;
  sizes.bytes_at_points = sizes.groups * sizes.points * line;
  return sizes;
}

int64_t rso_integer_workspace(const rso_integer_layer *a) {
  const rso_integer_sizes sizes = rso_sizes_of_integers(a);
  return sizes.mixed + sizes.offsets + sizes.moments + sizes.bytes + sizes.bytes_at_points;
}

typedef double rso_d8 __attribute__((ext_vector_type(8)));
typedef double rso_d4 __attribute__((ext_vector_type(4)));
typedef double rso_d2 __attribute__((ext_vector_type(2)));

// The functions of a set that every set has.
#define KERNELS(NAME) \
  .convolution = NAME(convolution), .normalize = NAME(normalize), .activate = NAME(activate), \
  .add = NAME(add), .average_pool = NAME(average_pool), .max_pool = NAME(max_pool), \
  .global_max = NAME(global_max), .global_average = NAME(global_average), \
  .extremes = NAME(extremes), .normalize_extremes = NAME(normalize_extremes), \
  .shift_add = NAME(shift_add), .moments = NAME(moments), .layer = NAME(layer), \
  .mixed_moments = NAME(mixed_moments), .cross_entropy = NAME(cross_entropy), \
  .sample_loss = NAME(sample_loss), .peak = NAME(peak)

#if defined(__x86_64__)

#include <immintrin.h>

// From [4][4] to [4][4] bytes the other way round.
#define RSO_TRANSPOSED 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15

#define AVX512 "avx512f,avx512dq,avx512bw,avx512vl,fma"
#pragma clang attribute push(__attribute__((target(AVX512))), apply_to = function)
#define NAME(f) avx512_##f
#define WIDTH 16
#define TILE 8
#define SET_NAME "avx512"
#include "kernels.inc"
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target(AVX512 ",avx512vnni"))), apply_to = function)
#define INTEGER_NAME "avx512vnni"
#define DOT(sum, u, w) ((VI)_mm512_dpbusd_epi32((__m512i)(sum), (__m512i)(u), (__m512i)(w)))
#define NEAREST(v) ((VI)_mm512_cvtps_epi32((__m512)(v)))
#define PACK(i)                                                                              \
  ((VI)_mm512_shuffle_epi8(                                                                  \
      _mm512_packus_epi16(_mm512_packus_epi32((__m512i)(i)[0], (__m512i)(i)[1]),             \
                          _mm512_packus_epi32((__m512i)(i)[2], (__m512i)(i)[3])),            \
      _mm512_broadcast_i32x4(_mm_setr_epi8(RSO_TRANSPOSED))))
#include "integers.inc"
#pragma clang attribute pop
#include "end.inc"

#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#define NAME(f) avx2_##f
#define WIDTH 8
#define TILE 4
#define SET_NAME "avx2"
#include "kernels.inc"
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx2,fma,avxvnni"))), apply_to = function)
#define INTEGER_NAME "avxvnni"
#define DOT(sum, u, w) ((VI)_mm256_dpbusd_avx_epi32((__m256i)(sum), (__m256i)(u), (__m256i)(w)))
#define NEAREST(v) ((VI)_mm256_cvtps_epi32((__m256)(v)))
#define PACK(i)                                                                              \
  ((VI)_mm256_shuffle_epi8(                                                                  \
      _mm256_packus_epi16(_mm256_packus_epi32((__m256i)(i)[0], (__m256i)(i)[1]),             \
                          _mm256_packus_epi32((__m256i)(i)[2], (__m256i)(i)[3])),            \
      _mm256_broadcastsi128_si256(_mm_setr_epi8(RSO_TRANSPOSED))))
#include "integers.inc"
#pragma clang attribute pop
#include "end.inc"

#endif

// 128-bit vectors: NEON on arm64, SSE2 on x86-64, and the compiler's choice elsewhere.
#define NAME(f) portable_##f
#define WIDTH 4
#if defined(__aarch64__)
#define TILE 8
#else
#define TILE 4
#endif
#define SET_NAME "portable"
#include "kernels.inc"
#include "end.inc"

const rso_kernels *rso_kernels_at(int32_t index) {
  const rso_kernels *found[5] = {NULL};
  int count = 0;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
    if (__builtin_cpu_supports("avx512vnni")) found[count++] = &avx512_integer_kernels;
    found[count++] = &avx512_kernels;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    if (__builtin_cpu_supports("avxvnni")) found[count++] = &avx2_integer_kernels;
    found[count++] = &avx2_kernels;
  }
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
                     const float *deviation, int32_t channels, int32_t area, float *y) {
  const ptrdiff_t size = (ptrdiff_t)channels * area;
  for (int s = 0; s < rso_block; s++) {
    const float *image = samples[s] < 0 ? NULL : images + samples[s] * size;
    for (int c = 0; c < channels; c++)
      for (ptrdiff_t i = (ptrdiff_t)c * area, end = i + area; i < end; i++)
        y[i * rso_block + s] = image ? (float)(((double)image[i] - mean[c]) / deviation[c]) : 0;
  }
}

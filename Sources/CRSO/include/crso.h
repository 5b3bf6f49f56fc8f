// SIMD kernels of the CPU engine. They make no policy decisions and allocate nothing.
//
// Layout: samples are innermost. A value of one block of 16 samples is [channels][rows][columns][16] floats. A kernel
// works on `lanes` such values at once, `..._lane` floats apart: the candidates of one block, or several blocks. With a
// lane stride of 0, all lanes read the same value. Pointers are 64-byte aligned, and lane strides are multiples of 16.
// Outputs do not alias inputs unless a comment says so.
#ifndef CRSO_H
#define CRSO_H

#include <stddef.h>
#include <stdint.h>

#include "crso_cuda.h"
#include "crso_launch.h"
#include "crso_zlib.h"

enum { rso_block = 16, rso_tile = 8 };

// A window that slides over an image; pixels outside the image are zero.
typedef struct {
  int32_t height, width, out_height, out_width, kernel, stride, padding;
} rso_window;

// y[o] = init[o] + sum over c, ky, kx of w[o, c, ky, kx] x[c, shifted by ky, kx].
// x: [in_channels, height, width, 16], y: [out_channels, out_height, out_width, 16]
// w: packed [ceil(out_channels / 8)][in_channels][kernel][kernel][8]
// init: like y, and may be y itself. NULL: bias [out_channels] instead; both NULL: zero.
// next_x, next_init: floats to the next x and init, which are prefetched if in_channels is 1; 0: none.
typedef struct {
  const float *x, *w, *bias, *init;
  float *y;
  ptrdiff_t x_lane, y_lane, init_lane, next_x, next_init;
  rso_window window;
  int32_t lanes, in_channels, out_channels;
} rso_convolution;

// One value in, one value out.
typedef struct {
  const float *x;
  float *y;
  ptrdiff_t x_lane, y_lane;
  int32_t lanes, channels, area;
} rso_map;

// v[p] = z[p] + delta[lane] x[p shifted by tap] + added[p], for one channel; added may be NULL.
// With `scale`, y = scale[lane] v + offset[lane], with negative results set to zero if `relu`. Without it, y = v, and
// with `sums` the moments of v are added to it as `moments` does; y may then be NULL. y may be z.
// x: [height, width, 16], the same for all lanes; y, z, added: [out_height, out_width, 16]
// tap = ky * kernel + kx; scale and offset are norm_lane floats apart.
// next_x, next_z: floats to the next x and z, which are prefetched; 0: none.
typedef struct {
  const float *x, *z, *added, *delta, *scale, *offset, *origin;
  const int32_t *valid;
  double *sums;
  float *y;
  ptrdiff_t z_lane, added_lane, y_lane, norm_lane, sums_lane, next_x, next_z;
  rso_window window;
  int32_t relu, lanes, tap;
} rso_shift_add;

// One output channel of a 3×3 convolution, row by row: stride 1 or 2, padding 0 or 1.
// w: [in_channels][3][3], rso_tile floats from tap to tap.
typedef struct {
  const float *x, *w;
  float bias;
  rso_window window;
  int32_t in_channels;
  // Whether to prefetch the next rows because x is not in cache.
  int32_t fetches;
} rso_rows;

// A layer's input: scale[c] v[c] + offset[c], with negative values set to zero if `relu`. v is x or, with `mixed`, x
// plus the convolution of that single channel with `column`, plus `added` if it is not NULL, which needs `at_points`.
// x, added: [channels, height, width, 16], mixed: [mixing.height, mixing.width, 16],
// column: packed [ceil(channels / 8)][3][3][8], scale, offset: [channels] per lane, or NULL
// at_points: for each channel [3][6], then [3][5]: the column's rows at the points of tiles of 4 and of 3 outputs;
// NULL if the stride is not 1 or the width is not a sum of fours and threes
// next: floats to the next x, which mixed_moments prefetches; 0: not known
// workspace: rso_source_workspace(s) floats, for mixed_moments
typedef struct {
  const float *x, *mixed, *column, *at_points, *added, *scale, *offset;
  float *workspace;
  ptrdiff_t x_lane, mixed_lane, added_lane, norm_lane, next;
  rso_window mixing;
  int32_t relu, lanes, channels, height, width;
} rso_source;

// y = bias + 3×3 convolution of factor · source, by Winograd's algorithm, with stride 1 or 2 and padding 0 or 1;
// factor > 0. With `box` and stride 2, it convolves the sums of 2×2 neighbours of the source, which is padded by 0 or 1
// for these sums; the convolution has no other padding.
// u: weights at the points,
//    [tile kinds 4×4, 4×3, 3×4, 3×3][points down][ceil(out_channels / 8)][in][points across][8]
// bias: [out_channels] or NULL. out_height, out_width: sums of fours and threes, see rso_has_layer.
// sums, if not NULL: the moments of y around `origin` are added to it as `moments` does.
// workspace: rso_layer_workspace(a) floats. y_is_far: y is not in cache. next: next_size floats to prefetch, or NULL.
typedef struct {
  rso_source source;
  const float *u, *bias, *origin, *next;
  const int32_t *valid;
  double *sums;
  float *y, *workspace;
  ptrdiff_t y_lane, sums_lane, next_size;
  float factor;
  int32_t stride, padding, box, out_channels, out_height, out_width, y_is_far;
} rso_layer;

// One channel that is mixed into a rest of integers by a 3×3 convolution: unit[c] · (start[c] + the sum of w u) is added to
// channel c of the rest. u: the byte per_unit · x + zero, which must be an integer from 0 to 255; outside the image, `zero`.
// x: [window.height, window.width, 16], w: [channels][3] times four signed bytes: the taps of a row, and 0
// start, unit: [channels], where |start + sum| < 2^22 and units are powers of two; without a window, nothing is mixed.
typedef struct {
  const float *x, *unit;
  const int32_t *w, *start;
  ptrdiff_t x_lane;
  rso_window window;
  float per_unit;
  int32_t zero;
} rso_integer_mixing;

// The input of a layer of integers: a byte for every number v, which is x, or x with a channel mixed in. The byte is the
// level i of `step` (2 i if its lowest is negative; 0 and 2 of a sign) of scale[c] v + offset[c] or, if the step is the
// identity, per_unit · v + zero, which must be an integer from 0 to 255.
// x: [channels, height, width, 16]; scale, offset: [channels] per lane, or NULL; zero: the byte that stands for 0
// units: [channels], what the numbers of x, which are then int16_t, are worth; NULL: they are floats, as they must be with
// a mixed channel and with the identity
// next: floats to the next x, which mixed_integer_moments prefetches; 0: not known
// workspace: rso_integer_source_workspace(s) floats, for mixed_integer_moments
typedef struct {
  const float *x, *units, *scale, *offset;
  float *workspace;
  ptrdiff_t x_lane, norm_lane, next;
  rso_integer_mixing mixing;
  rso_activation step;
  float per_unit;
  int32_t zero, lanes, channels, height, width;
} rso_integer_source;

// A convolution of integers: y = unit[o] · (start[o] + the sum of w u), where u is a byte of the source or, with `box`, the
// sum of 2×2 neighbouring bytes. With box, the source is padded by window.padding for these sums, and the convolution has no
// other padding. Where zero is not 0, `start` makes up for it. Bytes and their sums are at most 255, |start + sum| < 2^24,
// and units are powers of two, so y has no rounding error.
// With `at_points`, which needs a 3×3 kernel, stride 1, and an out_height that is a sum of fours and threes, w are 24 times
// the weights at the points down of tiles of 4 and then of 3 outputs, for bytes around 128. Bytes of the source and their
// sums are then at most 16, and |start + sum| < 2^20.
// w: [ceil(out_channels / 8)][kernel][ceil(channels / 4)][kernel][8] times four signed bytes, one for each channel; at
//    points, [ceil(out_channels / 8)][6 + 5][ceil(channels / 4)][kernel][8]
// unit: [out_channels rounded up to 8], start: the same or, at points, [6 + 5][out_channels rounded up to 8]
// y_is_short: y are int16_t, without the unit, which |start + sum| < 2^15 must allow; y_lane is in floats all the same.
// sums, valid, origin, next, next_size: as in rso_layer. workspace: rso_integer_workspace(a) floats.
typedef struct {
  rso_integer_source source;
  rso_window window;
  const int32_t *w, *start, *valid;
  const float *unit, *origin, *next;
  double *sums;
  float *y, *workspace;
  ptrdiff_t y_lane, sums_lane, next_size;
  int32_t box, out_channels, at_points, y_is_short;
} rso_integer_layer;

// A loss of samples, and its weight in a sum of losses. parameter: the smoothing of a cross entropy, or the quantile.
// class_weights: [channels], for cross entropies, or NULL: all 1.
typedef struct {
  const float *class_weights;
  double weight;
  float parameter;
  rso_loss_kind kind;
} rso_loss;

typedef struct {
  const char *name;

  void (*convolution)(const rso_convolution *);

  // y = activation(scale[c] x + offset[c]); scale, offset: [channels] per lane. y may be x.
  void (*normalize)(const rso_map *, const float *scale, const float *offset, ptrdiff_t lane,
                    rso_activation);
  // y = activation(x). y may be x.
  void (*activate)(const rso_map *, rso_activation);
  // y = x + b. y may be x.
  void (*add)(const rso_map *, const float *b, ptrdiff_t b_lane);
  // Means over windows, always divided by kernel^2, however much of the window is inside the image.
  void (*average_pool)(const rso_map *, const rso_window *);
  void (*max_pool)(const rso_map *, const rso_window *);
  // y: [channels, 16]
  void (*global_max)(const rso_map *);
  void (*global_average)(const rso_map *);
  // y: [channels, 2, 16], the maximum and the minimum of each channel.
  void (*extremes)(const rso_map *);
  // x: [channels, 2, 16] as `extremes` makes it, y: [channels, 16], the maximum of scale x + offset.
  void (*normalize_extremes)(const rso_map *, const float *scale, const float *offset,
                             ptrdiff_t lane);
  void (*shift_add)(const rso_shift_add *);

  // sums[2 c] += the sum of x - origin[c], sums[2 c + 1] += the sum of its squares, over the area and the first
  // valid[lane] samples. Lane l adds to sums + l * sums_lane.
  void (*moments)(const rso_map *, const float *origin, const int32_t *valid, double *sums,
                  ptrdiff_t sums_lane);

  void (*layer)(const rso_layer *);
  // The moments of a source with a mixed channel, before normalisation. extremes, if not NULL: receives
  // [channels, 2, 16] per lane, as from `extremes`; this needs `at_points`.
  void (*mixed_moments)(const rso_source *, const float *origin, const int32_t *valid, double *sums,
                        ptrdiff_t sums_lane, float *extremes, ptrdiff_t extremes_lane);

  // Both NULL where the instruction set has no dot products of bytes.
  void (*integer_layer)(const rso_integer_layer *);
  // The same as mixed_moments, before scale, offset and step. If sums is NULL, `extremes` receives only the maxima,
  // [channels, 16] per lane, as from `global_max`.
  void (*mixed_integer_moments)(const rso_integer_source *, const float *origin, const int32_t *valid,
                                double *sums, ptrdiff_t sums_lane, float *extremes,
                                ptrdiff_t extremes_lane);

  // Softmax cross entropy of logits x: [channels, 16] (area 1) against labels[16] per lane. The sum over the first
  // valid[lane] samples is added to losses[lane * losses_lane]. predicted, if not NULL: [16] per lane, the class of
  // the largest logit, or the first such class.
  void (*cross_entropy)(const rso_map *, const int32_t *labels, ptrdiff_t labels_lane,
                        const int32_t *valid, double *losses, ptrdiff_t losses_lane,
                        int32_t *predicted);

  // A loss of outputs x: [channels, 16] (area 1) against labels[16] per lane or, for losses of targets,
  // targets[channels, 16] per lane. `weight` times the sum over the first valid[lane] samples is added to
  // losses[lane * losses_lane]. The sum is NaN if an output is not finite.
  void (*sample_loss)(const rso_map *, const rso_loss *, const int32_t *labels, ptrdiff_t labels_lane,
                      const float *targets, ptrdiff_t targets_lane, const int32_t *valid,
                      double *losses, ptrdiff_t losses_lane);

  // Independent fused multiply-adds in registers at full speed: the machine's peak. Returns the number of
  // floating-point operations.
  double (*peak)(int64_t iterations, float *sink);
} rso_kernels;

// The kernels of the instruction sets that this machine can run, fastest first; NULL after the last.
const rso_kernels *rso_kernels_at(int32_t index);

// Whether `layer` supports an output of that size.
int rso_has_layer(int32_t out_height, int32_t out_width);
int64_t rso_layer_workspace(const rso_layer *);
int64_t rso_source_workspace(const rso_source *);
int64_t rso_integer_source_workspace(const rso_integer_source *);
int64_t rso_integer_workspace(const rso_integer_layer *);
// Whether the row-wise convolution supports the window: 3×3, stride 1 or 2, padding 0 or 1, and at most one pixel
// outside the image on any side.
int rso_has_rows(const rso_window *);

// y[i, s] = table[i / area][images[samples[s]][i]], or zero if samples[s] is negative.
// images: [N][channels * area], table: [channels][256], samples: [16], y: [channels * area, 16]
void rso_load_images(const uint8_t *images, const int32_t *samples, const float *table,
                     int32_t channels, int32_t area, float *y);

// The same for images of floats: (x - mean) / deviation of each channel, in double precision and rounded once.
// images: [N][channels * area], mean, deviation: [channels]
void rso_load_floats(const float *images, const int32_t *samples, const float *mean,
                     const float *deviation, int32_t channels, int32_t area, float *y);

// Reads `count` numbers once, in order; returns the sum of all whole groups of 8.
uint64_t rso_stream_read(const uint64_t *x, int64_t count);
// y = ~x, in order; x and y do not alias.
void rso_stream_copy(const uint64_t *restrict x, uint64_t *restrict y, int64_t count);

// Zeroed memory, 64-byte aligned, in huge pages where the system has them; NULL if there is not enough memory.
void *rso_allocate(size_t bytes);
void rso_free(void *memory, size_t bytes);

// The file of the library that a symbol's address is in; NULL if the loader does not say.
const char *rso_library_path(const void *symbol);

#endif

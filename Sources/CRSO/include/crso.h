// SIMD kernels of the CPU engine: leaves without policy or allocation.
//
// Layout. Samples lie innermost: a value of one block of 16 samples is [channels][rows][columns][16]
// floats. A kernel works on `lanes` such values at once, `..._lane` floats apart: the candidates of one
// block, or several blocks. A lane stride of 0 means that all lanes read the same value.
// Pointers are 64-byte aligned, lane strides multiples of 16. Outputs do not alias inputs unless said.
#ifndef CRSO_H
#define CRSO_H

#include <stddef.h>
#include <stdint.h>

enum { rso_block = 16, rso_tile = 8 };

typedef enum {
  rso_identity,
  rso_relu,
  rso_leaky_relu,
  rso_sigmoid,
  rso_tanh,
  rso_sign,
} rso_activation;

// A window sliding over an image, zeros outside of it.
typedef struct {
  int32_t height, width, out_height, out_width, kernel, stride, padding;
} rso_window;

// y[o] = init[o] + sum over c, ky, kx of w[o, c, ky, kx] x[c, shifted by ky, kx].
// x: [in_channels, height, width, 16], y: [out_channels, out_height, out_width, 16]
// w: packed [ceil(out_channels / 8)][in_channels][kernel][kernel][8]
// init: like y, may be y itself; NULL: bias [out_channels] instead; both NULL: zero.
typedef struct {
  const float *x, *w, *bias, *init;
  float *y;
  ptrdiff_t x_lane, y_lane, init_lane;
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
  // Means over windows, divided by kernel^2 whatever of it lies in the image.
  void (*average_pool)(const rso_map *, const rso_window *);
  void (*max_pool)(const rso_map *, const rso_window *);
  // y: [channels, 16]
  void (*global_max)(const rso_map *);
  void (*global_average)(const rso_map *);
  // y: [channels, 2, 16], the maximum and the minimum of every channel.
  void (*extremes)(const rso_map *);
  // x: [channels, 2, 16] as `extremes` makes it, y: [channels, 16], the maximum of scale x + offset.
  void (*normalize_extremes)(const rso_map *, const float *scale, const float *offset,
                             ptrdiff_t lane);
  // y[p] = z[p] + delta[lane] x[p shifted by tap], for one channel. y may be z.
  // x: [height, width, 16], y, z: [out_height, out_width, 16]; tap = ky * kernel + kx
  void (*shift_add)(const rso_map *, const float *z, ptrdiff_t z_lane, const float *delta,
                    const rso_window *, int32_t tap);

  // sums[2 c] += sum of (x - shift[c]), sums[2 c + 1] += sum of its squares, over the area and the
  // first valid[lane] samples. Lane l adds to sums + l * sums_lane.
  void (*moments)(const rso_map *, const float *shift, const int32_t *valid, double *sums,
                  ptrdiff_t sums_lane);

  // Softmax cross entropy of logits x: [channels, 16] (area 1) against labels[16] per lane, summed
  // over the first valid[lane] samples into losses[lane * losses_lane]. predicted, if not NULL:
  // [16] per lane, the first class of the largest logit.
  void (*cross_entropy)(const rso_map *, const int32_t *labels, ptrdiff_t labels_lane,
                        const int32_t *valid, double *losses, ptrdiff_t losses_lane,
                        int32_t *predicted);

  // Independent fused multiply-adds in registers, as fast as they go: the machine's peak.
  // Returns the number of floating-point operations done.
  double (*peak)(int64_t iterations, float *sink);
} rso_kernels;

// The instruction sets this machine can run, fastest first; NULL after the last.
const rso_kernels *rso_kernels_at(int32_t index);

// y[i, s] = table[i / area][images[samples[s]][i]], zero where samples[s] is negative.
// images: [N][channels * area], table: [channels][256], samples: [16], y: [channels * area, 16]
void rso_load_images(const uint8_t *images, const int32_t *samples, const float *table,
                     int32_t channels, int32_t area, float *y);

// The same for images of floats, less the mean of their channel.
// images: [N][channels * area], mean: [channels]
void rso_load_floats(const float *images, const int32_t *samples, const float *mean,
                     int32_t channels, int32_t area, float *y);

// Zeroed memory, 64-byte aligned, in huge pages where the system has them; NULL: there is none.
void *rso_allocate(size_t bytes);
void rso_free(void *memory, size_t bytes);

#endif

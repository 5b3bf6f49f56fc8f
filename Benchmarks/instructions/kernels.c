// Calls every kernel on shapes of the paper's MNIST network. Under callgrind each call's instructions go into
// a dump of its own, named `instruction set | what | unit | how many of it`.
#include <stdio.h>
#include <stdlib.h>
#include <valgrind/callgrind.h>

#include "crso.h"

enum { room = 3 * 17 * 32 * 32 * rso_block };

static float *x, *y, *b, *w, *u, *workspace, *scale, *offset;
static int32_t labels[rso_block], valid[3] = {16, 16, 16}, predicted[3 * rso_block];
static double sums[3 * 2 * 32];

static float *numbers(int count) {
  float *p = aligned_alloc(64, sizeof(float) * (size_t)count);
  if (!p) exit(1);
  for (int i = 0; i < count; i++) p[i] = (float)(rand() % 2001 - 1000) / 1000;
  return p;
}

// A value's floats and, behind it, the gap between lanes.
static ptrdiff_t stride(int channels, int size) {
  return (ptrdiff_t)(channels * size * size + 1) * rso_block;
}

static rso_window window(int size, int kernel, int stride, int padding) {
  const int out = (size + 2 * padding - kernel) / stride + 1;
  return (rso_window){size, size, out, out, kernel, stride, padding};
}

static rso_convolution conv(int in, int out, rso_window win, int lanes, const float *init) {
  return (rso_convolution){
      .x = x, .w = w, .init = init, .y = y,
      .x_lane = stride(in, win.width), .y_lane = stride(out, win.out_width),
      .init_lane = 0, .window = win, .lanes = lanes, .in_channels = in, .out_channels = out};
}

static double multiply_adds(const rso_convolution *a) {
  return (double)a->lanes * rso_block * a->in_channels * a->out_channels * a->window.kernel *
         a->window.kernel * a->window.out_height * a->window.out_width;
}

// Batch norm, ReLU and a 3×3 convolution of 16 to 16 channels; with `box`, of stride 2 on box sums.
// mixed: the channel that makes the input of a rest, or NULL.
static rso_layer layer(int size, int box, const float *mixed) {
  const int out = box ? size / 2 : size;
  rso_layer a = {
      .source = {.x = x, .mixed = mixed, .column = w, .at_points = mixed ? w : NULL,
                 .scale = scale, .offset = offset, .x_lane = mixed ? 0 : stride(16, size),
                 .mixed_lane = stride(1, size), .norm_lane = 32, .mixing = window(size, 3, 1, 1),
                 .relu = 1, .lanes = 3, .channels = 16, .height = size, .width = size},
      .u = u, .origin = offset, .valid = valid, .sums = sums, .y = y, .y_lane = stride(16, out),
      .sums_lane = 64, .factor = 1, .stride = box ? 2 : 1, .padding = 1, .box = box,
      .out_channels = 16, .out_height = out, .out_width = out};
  a.workspace = a.source.workspace = workspace;
  if (rso_layer_workspace(&a) > room) exit(1);
  return a;
}

static double products(const rso_layer *a) {
  return 3.0 * rso_block * 16 * 16 * 9 * a->out_height * a->out_width;
}

static rso_map map(int channels, int size, int lanes) {
  return (rso_map){x, y, stride(channels, size), stride(channels, size), lanes, channels,
                   size * size};
}

static double elements(const rso_map *a) {
  return (double)a->lanes * a->channels * a->area * rso_block;
}

#define COUNT(what, unit, amount, call)                                                          \
  do {                                                                                           \
    char name[160];                                                                              \
    snprintf(name, sizeof name, "%s | %s | %s | %.0f", k->name, what, unit, amount);              \
    CALLGRIND_ZERO_STATS;                                                                        \
    call;                                                                                        \
    CALLGRIND_DUMP_STATS_AT(name);                                                               \
  } while (0)

#define CONVOLUTION(what, ...)                                                                   \
  do {                                                                                           \
    const rso_convolution a = conv(__VA_ARGS__);                                                 \
    COUNT("convolution " what, "multiply-add", multiply_adds(&a), k->convolution(&a));            \
  } while (0)

// In multiply-adds of the direct convolution, whatever is done instead.
#define LAYER(what, ...)                                                                         \
  do {                                                                                           \
    const rso_layer a = layer(__VA_ARGS__);                                                      \
    COUNT("layer " what, "multiply-add", products(&a), k->layer(&a));                            \
  } while (0)

#define MIXED(what, size, extremes)                                                              \
  do {                                                                                           \
    const rso_layer a = layer(size, 0, b);                                                       \
    COUNT("mixed_moments " what, "multiply-add", products(&a) / 16,                              \
          k->mixed_moments(&a.source, offset, valid, sums, 64, extremes, 2 * 16 * rso_block));   \
  } while (0)

#define MAP(what, channels, size, call)                                                          \
  do {                                                                                           \
    const rso_map a = map(channels, size, 3);                                                    \
    COUNT(what, "element", elements(&a), call);                                                  \
  } while (0)

#define NORMALIZE(what, ...)                                                                     \
  MAP("normalize" what, 16, 14,                                                                  \
      k->normalize(&a, scale, offset, 32, (rso_activation){.function = __VA_ARGS__}))

#define SHIFT(what, number)                                                                      \
  do {                                                                                           \
    const rso_shift_add a = {.x = x, .z = b, .delta = delta, .y = y, .y_lane = stride(1, 28),        \
                         .window = taps, .lanes = 3, .tap = number};                             \
    COUNT("shift_add, " what " tap", "element", 3.0 * 28 * 28 * rso_block, k->shift_add(&a));    \
  } while (0)

// A line for every kernel and shape.
static void count(const rso_kernels *k) {
  const rso_window halves = window(28, 2, 2, 0), box = window(28, 2, 1, 0), taps = window(28, 3, 1, 1);
  const float delta[3] = {0, 0.1f, -0.1f};

  CONVOLUTION("1 to 16, 28x28", 1, 16, window(28, 3, 1, 1), 3, NULL);
  CONVOLUTION("16 to 16, 28x28, stride 2", 16, 16, window(28, 3, 2, 1), 3, NULL);
  CONVOLUTION("16 to 16, 14x14", 16, 16, window(14, 3, 1, 1), 3, NULL);
  CONVOLUTION("16 to 16, 7x7", 16, 16, window(7, 3, 1, 1), 3, NULL);
  CONVOLUTION("1 to 16, 14x14, onto a rest", 1, 16, window(14, 3, 1, 1), 3, b);
  CONVOLUTION("1 to 16, 7x7, onto a rest", 1, 16, window(7, 3, 1, 1), 3, b);
  CONVOLUTION("16 to 10, 1x1", 16, 10, window(1, 1, 1, 0), 3, NULL);

  LAYER("7x7", 7, 0, NULL);
  LAYER("14x14", 14, 0, NULL);
  LAYER("14x14, box, stride 2", 14, 1, NULL);
  LAYER("14x14, mixed, box, stride 2", 14, 1, b);
  MIXED("14x14", 14, NULL);
  MIXED("7x7, extremes", 7, y);

  NORMALIZE("", rso_identity);
  NORMALIZE(", relu", rso_relu);
  NORMALIZE(", leaky relu", rso_leaky_relu, .slope = 0.01f);
  NORMALIZE(", sigmoid", rso_sigmoid);
  NORMALIZE(", tanh", rso_tanh);
  NORMALIZE(", sign", rso_sign);
  NORMALIZE(", gelu", rso_gelu);
  NORMALIZE(", silu", rso_silu);
  NORMALIZE(", hard sigmoid", rso_hard_sigmoid);
  NORMALIZE(", hard swish", rso_hard_swish);
  NORMALIZE(", hard step", rso_hard_step);
  NORMALIZE(", quantize", rso_quantize, .low = -1, .steps = 15);
  MAP("activate, relu", 16, 14, k->activate(&a, (rso_activation){.function = rso_relu}));
  MAP("add", 16, 14, k->add(&a, b, 0));
  MAP("average_pool 2x2, stride 2", 16, 28, k->average_pool(&a, &halves));
  MAP("average_pool 2x2, stride 1", 16, 28, k->average_pool(&a, &box));
  MAP("max_pool 2x2, stride 2", 16, 28, k->max_pool(&a, &halves));
  MAP("global_max", 16, 7, k->global_max(&a));
  MAP("global_average", 16, 7, k->global_average(&a));
  MAP("extremes", 16, 7, k->extremes(&a));
  MAP("normalize_extremes", 16, 1, k->normalize_extremes(&a, scale, offset, 32));
  SHIFT("middle", 4);
  SHIFT("corner", 0);
  MAP("moments", 16, 7, k->moments(&a, offset, valid, sums, 64));
  MAP("cross_entropy", 10, 1, k->cross_entropy(&a, labels, 0, valid, sums, 1, NULL));
  MAP("cross_entropy, predicted", 10, 1, k->cross_entropy(&a, labels, 0, valid, sums, 1, predicted));
}

int main(void) {
  x = numbers(room), b = numbers(room), w = numbers(16 * 16 * 9), scale = numbers(3 * 32);
  offset = numbers(3 * 32), y = numbers(room), workspace = numbers(room);
  // Stride 2 takes the most points: 16 × 16 of them.
  u = numbers(16 * 16 * 16 * 16);
  for (int s = 0; s < rso_block; s++) labels[s] = s % 10;
  const rso_kernels *k;
  for (int i = 0; (k = rso_kernels_at(i)); i++) count(k);
  return 0;
}

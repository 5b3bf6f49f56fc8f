// Calls every kernel on shapes of the paper's MNIST network. Under callgrind each call's instructions go into
// a dump of its own, named `instruction set | what | unit | how many of it`.
#include <stdio.h>
#include <stdlib.h>
#include <valgrind/callgrind.h>

#include "crso.h"

enum { room = 3 * 17 * 32 * 32 * rso_block };

static float *x, *y, *b, *w, *scale, *offset;
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

#define MAP(what, channels, size, call)                                                          \
  do {                                                                                           \
    const rso_map a = map(channels, size, 3);                                                    \
    COUNT(what, "element", elements(&a), call);                                                  \
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

  MAP("normalize", 16, 14, k->normalize(&a, scale, offset, 32, rso_identity));
  MAP("normalize, relu", 16, 14, k->normalize(&a, scale, offset, 32, rso_relu));
  MAP("normalize, sigmoid", 16, 14, k->normalize(&a, scale, offset, 32, rso_sigmoid));
  MAP("normalize, tanh", 16, 14, k->normalize(&a, scale, offset, 32, rso_tanh));
  MAP("activate, relu", 16, 14, k->activate(&a, rso_relu));
  MAP("add", 16, 14, k->add(&a, b, 0));
  MAP("average_pool 2x2, stride 2", 16, 28, k->average_pool(&a, &halves));
  MAP("average_pool 2x2, stride 1", 16, 28, k->average_pool(&a, &box));
  MAP("max_pool 2x2, stride 2", 16, 28, k->max_pool(&a, &halves));
  MAP("global_max", 16, 7, k->global_max(&a));
  MAP("global_average", 16, 7, k->global_average(&a));
  MAP("extremes", 16, 7, k->extremes(&a));
  MAP("normalize_extremes", 16, 1, k->normalize_extremes(&a, scale, offset, 32));
  MAP("shift_add, middle tap", 1, 28, k->shift_add(&a, b, 0, delta, &taps, 4));
  MAP("shift_add, corner tap", 1, 28, k->shift_add(&a, b, 0, delta, &taps, 0));
  MAP("moments", 16, 7, k->moments(&a, offset, valid, sums, 64));
  MAP("cross_entropy", 10, 1, k->cross_entropy(&a, labels, 0, valid, sums, 1, NULL));
  MAP("cross_entropy, predicted", 10, 1, k->cross_entropy(&a, labels, 0, valid, sums, 1, predicted));
}

int main(void) {
  x = numbers(room), b = numbers(room), w = numbers(16 * 16 * 9), scale = numbers(3 * 32);
  offset = numbers(3 * 32), y = numbers(room);
  for (int s = 0; s < rso_block; s++) labels[s] = s % 10;
  const rso_kernels *k;
  for (int i = 0; (k = rso_kernels_at(i)); i++) count(k);
  return 0;
}

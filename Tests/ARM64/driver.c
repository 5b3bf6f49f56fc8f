// Calls every kernel, in all its forms, on inputs that are the same on every machine, to compare what comes out
// number by number between machines.
//
//   kernels write FILE      writes the results of this machine's first instruction set
//   kernels compare FILE    holds the results of all its instruction sets against them; exit code 1: they differ
//
// Inputs have few digits, weights and scales are 0 or powers of two. So products are exact, a fused multiply-add
// rounds as a product and a sum do, and since one source states the order of operations, results must be
// equal. Exceptions come with a bound: squares, what is made of exponentials, convolutions of numbers of all digits.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crso.h"

enum { room = 1 << 18, most_lanes = 4, most_channels = 32, classes = 10 };

#define roundoff 0x1p-24
static const int32_t valid[most_lanes] = {16, 11, 6, 1};

static float *x, *b, *w, *u, *y, *mixed, *scale, *offset, *real;
static double sums[most_lanes * 2 * most_channels];

// ---- what is compared

static FILE *file;
static int writes, wrong;
static const char *set = "kernels";
static char what[160] = "start";

static void fail(const char *problem) {
  fprintf(stderr, "%s: %s: %s\n", set, what, problem);
  exit(1);
}

// What a call gave: equal to what is expected, or as far from it as `relative` and `absolute` allow.
static void check(int64_t index, double found, double relative, double absolute) {
  double expected;
  if (writes) {
    if (fwrite(&found, sizeof found, 1, file) != 1) fail("cannot write the results");
    return;
  }
  if (fread(&expected, sizeof expected, 1, file) != 1) fail("the results end early");
  if (fabs(found - expected) <= relative * fabs(expected) + absolute) return;
  if (wrong++ < 20)
    fprintf(stderr, "%s: %s: %lld: expected %.9g, found %.9g\n", set, what, (long long)index, expected, found);
}

// The output with the gaps between lanes, where nothing may be written.
static void check_y(int64_t count, double relative, double absolute) {
  if (count > room) fail("there is no room for the output");
  for (int64_t i = 0; i < count; i++) check(i, y[i], relative, absolute);
}

// Sums, and behind each that of `terms` squares: each square rounds, and each sum, in both results.
static void check_sums(int lanes, int terms) {
  for (int i = 0; i < lanes * 2 * most_channels; i++) check(i, sums[i], i % 2 * 2 * (terms + 2) * roundoff, 0);
}

// Begins a call of that name.
#define CALL(...) (snprintf(what, sizeof what, __VA_ARGS__), clear())

static void clear(void) {
  for (int i = 0; i < room; i++) y[i] = -77;
  memset(sums, 0, sizeof sums);
}

// ---- inputs

static uint32_t state = 1;

static uint32_t draw(void) {
  state ^= state << 13, state ^= state >> 17, state ^= state << 5;
  return state;
}

static float few_digits(void) { return (float)((int)(draw() % 65) - 32) / 8; }
static float power_of_two(void) {
  static const float powers[] = {0, 0.5f, -0.5f, 1, -1, 2, -2};
  return powers[draw() % 7];
}
static float any(void) { return (float)draw() * 0x1p-31f - 1; }

static float *numbers(float (*number)(void)) {
  float *p = rso_allocate(sizeof(float) * room);
  for (int i = 0; i < room; i++) p[i] = number();
  return p;
}

// A value's floats and the gap behind it.
static ptrdiff_t stride(int channels, int height, int width) {
  return ((ptrdiff_t)channels * height * width + 1) * rso_block;
}

static rso_window window(int height, int width, int kernel, int stride, int padding) {
  return (rso_window){height, width, (height + 2 * padding - kernel) / stride + 1,
                      (width + 2 * padding - kernel) / stride + 1, kernel, stride, padding};
}

// From values of `area` places to values of `out_area`.
static rso_map map(int channels, int area, int out_area, int lanes) {
  return (rso_map){x, y, stride(channels, area, 1), stride(channels, out_area, 1), lanes, channels, area};
}

// ---- convolutions

static void convolution(const rso_kernels *k, int in, int out, rso_window win, int lanes) {
  rso_convolution a = {
      .x = x, .w = w, .y = y,
      .x_lane = stride(in, win.height, win.width), .y_lane = stride(out, win.out_height, win.out_width),
      .window = win, .lanes = lanes, .in_channels = in, .out_channels = out};
  for (int from = 0; from < 4; from++) {
    static const char *names[] = {"nothing", "a bias", "a rest for all lanes", "the output itself"};
    CALL("convolution %d to %d, %dx%d, kernel %d, stride %d, padding %d, %d lanes, from %s", in, out,
         win.height, win.width, win.kernel, win.stride, win.padding, lanes, names[from]);
    a.bias = from == 1 ? offset : NULL;
    a.init = from == 2 ? b : from == 3 ? y : NULL;
    a.init_lane = from == 3 ? a.y_lane : 0;
    k->convolution(&a);
    check_y(lanes * a.y_lane, 0, 0);
  }
  CALL("convolution %d to %d, kernel %d, numbers of all digits", in, out, win.kernel);
  a.x = a.w = a.init = real, a.init_lane = 0;
  k->convolution(&a);
  // Terms of at most 1, each rounded with its sum; twice, in both results.
  const double terms = in * win.kernel * win.kernel + 1;
  check_y(lanes * a.y_lane, 0, 2 * (terms + 1) * terms * roundoff);
}

static void convolutions(const rso_kernels *k, int lanes) {
  convolution(k, 16, 10, window(1, 1, 1, 1, 0), lanes);
  convolution(k, 3, 9, window(9, 7, 3, 1, 1), lanes);
  convolution(k, 5, 4, window(8, 7, 3, 2, 1), lanes);
  convolution(k, 2, 13, window(6, 9, 5, 1, 2), lanes);
  convolution(k, 1, 5, window(5, 11, 3, 1, 1), lanes);
  convolution(k, 1, 9, window(9, 23, 3, 2, 0), lanes);
  convolution(k, 4, 2, window(7, 14, 3, 2, 1), lanes);
  convolution(k, 6, 1, window(6, 10, 3, 1, 0), lanes);
}

// ---- layers

// mixing: the stride with which a channel is mixed into the source, or 0: none is.
typedef struct {
  int height, width, inputs, outputs, stride, padding, box, mixing, by_rows, added;
} layer_case;

static void layer(const rso_kernels *k, layer_case c, int lanes) {
  const int border = 2 * c.padding - c.box;
  // With two lanes, without what can be left out, and with all that is only fetched ahead.
  const int bare = lanes == 2;
  rso_layer a = {
      .source = {.x = x, .x_lane = c.mixing && !bare ? 0 : stride(c.inputs, c.height, c.width),
                 .scale = bare ? NULL : scale, .offset = offset, .norm_lane = most_channels, .relu = !bare,
                 .lanes = lanes, .channels = c.inputs, .height = c.height, .width = c.width},
      .u = u, .bias = bare ? NULL : offset, .origin = bare ? NULL : b, .valid = valid,
      .sums = bare ? NULL : sums, .sums_lane = 2 * most_channels, .next = bare ? x : NULL, .next_size = 4096,
      .y = y, .y_is_far = bare, .factor = c.box ? 0.25f : 1, .stride = c.stride, .padding = c.padding,
      .box = c.box, .out_channels = c.outputs, .out_height = (c.height + border - 3) / c.stride + 1,
      .out_width = (c.width + border - 3) / c.stride + 1};
  a.y_lane = stride(c.outputs, a.out_height, a.out_width);
  if (!rso_has_layer(a.out_height, a.out_width)) fail("a layer of no such size");
  if (c.mixing) {
    a.source.mixing = window(c.height * c.mixing, c.width * c.mixing, 3, c.mixing, 1);
    a.source.mixed = mixed;
    a.source.mixed_lane = stride(1, c.height * c.mixing, c.width * c.mixing);
    a.source.column = w;
    a.source.at_points = c.by_rows ? NULL : u;
  }
  if (c.added) a.source.added = b, a.source.added_lane = stride(c.inputs, c.height, c.width);
  CALL("layer %d to %d, %dx%d, stride %d, padding %d, box %d, mixing %d%s%s, %d lanes", c.inputs, c.outputs,
       c.height, c.width, c.stride, c.padding, c.box, c.mixing, c.by_rows ? " by rows" : "",
       c.added ? ", added" : "", lanes);
  const size_t size = sizeof(float) * (size_t)(rso_layer_workspace(&a) + rso_source_workspace(&a.source));
  a.workspace = a.source.workspace = rso_allocate(size);
  k->layer(&a);
  check_y(lanes * a.y_lane, 0, 0);
  check_sums(lanes, a.out_height * a.out_width);
  for (int bounds = 0; c.mixing && bounds <= !c.by_rows; bounds++) {
    CALL("mixed_moments of %d, %dx%d, mixing %d%s%s, %d lanes%s", c.inputs, c.height, c.width, c.mixing,
         c.by_rows ? " by rows" : "", c.added ? ", added" : "", lanes, bounds ? ", extremes" : "");
    k->mixed_moments(&a.source, offset, valid, sums, 2 * most_channels, bounds ? y : NULL,
                     stride(c.inputs, 2, 1));
    check_sums(lanes, c.height * c.width);
    check_y(lanes * stride(c.inputs, 2, 1), 0, 0);
  }
  rso_free(a.workspace, size);
}

static void layers(const rso_kernels *k, int lanes) {
  static const layer_case cases[] = {
      // height, width, inputs, outputs, stride, padding, box, mixing, by_rows, added
      {7, 7, 16, 16, 1, 1, 0, 0, 0, 0},  {9, 13, 3, 5, 1, 0, 0, 0, 0, 0}, {12, 11, 17, 9, 2, 1, 0, 0, 0, 0},
      {15, 14, 4, 4, 2, 0, 0, 0, 0, 0},  {14, 9, 5, 17, 2, 1, 1, 0, 0, 0}, {15, 16, 3, 8, 2, 0, 1, 0, 0, 0},
      {7, 8, 6, 8, 1, 1, 0, 1, 0, 0},    {8, 7, 6, 8, 1, 1, 0, 1, 0, 1},   {14, 14, 9, 7, 2, 1, 1, 1, 0, 0},
      {7, 11, 3, 8, 1, 1, 0, 1, 1, 0},   {7, 7, 10, 6, 1, 1, 0, 2, 1, 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) layer(k, cases[i], lanes);
}

// ---- all else

#define MAP(name, channels, area, out_area, relative, call)                                            \
  do {                                                                                                  \
    const rso_map a = map(channels, area, out_area, lanes);                                             \
    CALL("%s, %d of %d, %d lanes", name, channels, area, lanes);                                        \
    call;                                                                                               \
    check_y(lanes * a.y_lane, relative, 0);                                                             \
  } while (0)

#define SHIFT(name, ...)                                                                                \
  do {                                                                                                  \
    const rso_shift_add a = {.x = x, .delta = delta, .y = y, .y_lane = shift_lane, .window = win,           \
                         .lanes = lanes, .tap = tap, __VA_ARGS__};                                      \
    CALL("shift_add %s, stride %d, tap %d, %d lanes", name, stride_of, tap, lanes);                     \
    k->shift_add(&a);                                                                                   \
    check_y(lanes * shift_lane, 0, 0);                                                                  \
    check_sums(lanes, out_area);                                                                        \
  } while (0)

static void maps(const rso_kernels *k, int lanes) {
  // With what PointwiseKernelTests derives, in both results; for cross_entropy, too.
  static const struct {
    const char *name;
    double bound;
    rso_activation activation;
  } activations[] = {
      {"identity", 0, {.function = rso_identity}},
      {"relu", 0, {.function = rso_relu}},
      {"leaky relu", 0, {.function = rso_leaky_relu, .slope = 0.01f}},
      {"sigmoid", 2 * 5 * roundoff, {.function = rso_sigmoid}},
      {"tanh", 2 * 10.5 * roundoff, {.function = rso_tanh}},
      {"sign", 0, {.function = rso_sign}},
      // Relative to the tail, of which the exponential errs by half the square of the input.
      {"gelu", 2 * 512 * roundoff, {.function = rso_gelu}},
      {"silu", 2 * 5 * roundoff, {.function = rso_silu}},
      {"hard sigmoid", 0, {.function = rso_hard_sigmoid}},
      {"hard swish", 0, {.function = rso_hard_swish}},
      {"hard step", 0, {.function = rso_hard_step}},
      {"quantize", 0, {.function = rso_quantize, .low = 0, .steps = 7}},
      {"quantize, signed", 0, {.function = rso_quantize, .low = -1, .steps = 15}},
  };
  for (size_t f = 0; f < sizeof activations / sizeof *activations; f++) {
    const rso_activation activation = activations[f].activation;
    const double bound = activations[f].bound;
    MAP(activations[f].name, 5, 35, 35, bound, k->normalize(&a, scale, offset, most_channels, activation));
    MAP(activations[f].name, 3, 49, 49, bound, k->activate(&a, activation));
  }
  MAP("add", 5, 35, 35, 0, k->add(&a, b, 0));
  MAP("add, lanes of their own", 5, 35, 35, 0, k->add(&a, b, a.x_lane));
  MAP("global_max", 17, 35, 1, 0, k->global_max(&a));
  MAP("global_average", 17, 35, 1, 0, k->global_average(&a));
  MAP("extremes", 17, 35, 2, 0, k->extremes(&a));
  MAP("normalize_extremes", 17, 2, 1, 0, k->normalize_extremes(&a, scale, offset, most_channels));
  static const int windows[][5] = {{7, 5, 2, 2, 0}, {6, 9, 2, 1, 0}, {6, 9, 2, 1, 1}, {9, 8, 3, 2, 1}, {8, 9, 7, 3, 3}};
  for (int i = 0; i < 5; i++) {
    const int *n = windows[i];
    const rso_window win = window(n[0], n[1], n[2], n[3], n[4]);
    const int area = win.height * win.width, out_area = win.out_height * win.out_width;
    MAP("average_pool", 3, area, out_area, 0, k->average_pool(&a, &win));
    MAP("max_pool", 3, area, out_area, 0, k->max_pool(&a, &win));
  }
  static const float delta[most_lanes] = {0, 0.5f, -2, 1};
  for (int stride_of = 1; stride_of <= 2; stride_of++)
    for (int tap = 0; tap < 9; tap++) {
      const rso_window win = window(6, 9, 3, stride_of, 1);
      const int out_area = win.out_height * win.out_width;
      const ptrdiff_t shift_lane = stride(1, out_area, 1);
      SHIFT("from one for all lanes", .z = b);
      SHIFT("in place", .z = y, .z_lane = shift_lane);
      SHIFT("added", .z = b, .added = mixed, .added_lane = shift_lane);
      SHIFT("normalised", .z = b, .z_lane = shift_lane, .scale = scale, .offset = offset, .norm_lane = 3, .relu = tap % 2);
      SHIFT("summed", .z = b, .z_lane = shift_lane, .origin = offset, .valid = valid, .sums = sums, .sums_lane = 2);
    }
  CALL("moments, %d lanes", lanes);
  const rso_map a = map(9, 35, 35, lanes), logits = map(classes, 1, 1, lanes);
  k->moments(&a, offset, valid, sums, 2 * most_channels);
  check_sums(lanes, 35);

  CALL("cross_entropy, %d lanes", lanes);
  int32_t labels[rso_block], predicted[most_lanes * rso_block];
  for (int s = 0; s < rso_block; s++) labels[s] = s * 7 % classes;
  k->cross_entropy(&logits, labels, 0, valid, sums, 1, predicted);
  for (int l = 0; l < lanes; l++)
    check(l, sums[l], 4 * roundoff, 2 * valid[l] * (1.4 * (classes - 1) + 5) * roundoff);
  for (int i = 0; i < lanes * rso_block; i++) check(i, predicted[i], 0, 0);
}

static void images(void) {
  const int channels = 2, area = 15;
  const float deviation[] = {0.75f, 3};
  uint8_t pixels[4 * 2 * 15];
  int32_t samples[rso_block];
  for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)draw();
  for (int s = 0; s < rso_block; s++) samples[s] = s % 5 == 4 ? -1 : s * 3 % 4;
  CALL("load_images"), rso_load_images(pixels, samples, real, channels, area, y);
  check_y(stride(channels, area, 1), 0, 0);
  CALL("load_floats"), rso_load_floats(real, samples, offset, deviation, channels, area, y);
  check_y(stride(channels, area, 1), 0, 0);
  CALL("stream_copy, stream_read");
  rso_stream_copy((const uint64_t *)real, (uint64_t *)y, 1000);
  check_y(2000 + rso_block, 0, 0);
  check(0, (double)rso_stream_read((const uint64_t *)real, 1000), 0, 0);
}

static void all(const rso_kernels *k) {
  set = k->name, state = 1;
  for (int lanes = 1; lanes <= most_lanes; lanes++)
    convolutions(k, lanes), layers(k, lanes), maps(k, lanes);
  images();
  CALL("peak");
  float sink[2] = {1, 0.5f};
  if (!(k->peak(10, sink) > 0)) fail("no operations");
}

int main(int count, char **arguments) {
  if (count != 3) return fprintf(stderr, "usage: kernels write|compare FILE\n"), 64;
  writes = !strcmp(arguments[1], "write");
  if (!(file = fopen(arguments[2], writes ? "wb" : "rb"))) fail("cannot open the file of results");
  x = numbers(few_digits), b = numbers(few_digits), mixed = numbers(few_digits), offset = numbers(few_digits);
  w = numbers(power_of_two), u = numbers(power_of_two), scale = numbers(power_of_two);
  real = numbers(any), y = numbers(any);
  const rso_kernels *k;
  for (int i = 0; (k = rso_kernels_at(i)) && (i == 0 || !writes); i++) {
    rewind(file);
    all(k);
    printf("%s: %s %ld numbers\n", k->name, writes ? "wrote" : "compared", ftell(file) / 8);
  }
  if (!writes && fgetc(file) != EOF) fail("there are more results than numbers");
  if (wrong) fprintf(stderr, "%d numbers differ\n", wrong);
  return (writes ? fclose(file) : 0) || wrong;
}

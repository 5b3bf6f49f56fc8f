// What the parts of a Winograd layer cost with everything in the second-level cache, in clocks for a block of 16 samples and
// candidate; and what stores do to multiply-adds, in loops of nothing else. It reaches into the kernels' source, AVX-512 only.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "kernels.c"

enum { channels = 16, lanes = 3, room = lanes * 17 * 16 * 16 * rso_block * 4, rounds = 40 };

static float *x, *b, *w, *u, *y, *workspace, *scale, *offset;
static const int32_t valid[lanes] = {16, 16, 16};
static double sums[lanes * 64], clocks_per_second;

static float *numbers(int count) {
  float *p = aligned_alloc(64, sizeof(float) * (size_t)count);
  if (!p) exit(1);
  for (int i = 0; i < count; i++) p[i] = (float)(rand() % 2001 - 1000) / 1000;
  return p;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// The best of some rounds, as clocks of one call divided by `per`.
#define CLOCKS(what, calls, per, call)                                                           \
  do {                                                                                           \
    double best = 1e9;                                                                           \
    for (int r = 0; r < rounds; r++) {                                                           \
      const double start = now();                                                                \
      for (int n = 0; n < (calls); n++) call;                                                    \
      const double seconds = (now() - start) / (calls);                                          \
      if (seconds < best) best = seconds;                                                        \
    }                                                                                            \
    printf("  %-44s %9.1f\n", what, best * clocks_per_second / (per));                            \
  } while (0)

static ptrdiff_t stride(int count, int size) { return (ptrdiff_t)(count * size * size + 1) * rso_block; }

static rso_layer layer(int size, int box, const float *mixed) {
  const int out = box ? size / 2 : size;
  const rso_window mixing = {size, size, size, size, 3, 1, 1};
  rso_layer a = {
      .source = {.x = x, .mixed = mixed, .column = w, .at_points = mixed ? w : NULL, .scale = scale,
                 .offset = offset, .x_lane = mixed ? 0 : stride(channels, size),
                 .mixed_lane = stride(1, size), .norm_lane = 32, .mixing = mixing, .relu = 1,
                 .lanes = lanes, .channels = channels, .height = size, .width = size},
      .u = u, .origin = offset, .valid = valid, .sums = sums, .y = y, .y_lane = stride(channels, out),
      .sums_lane = 64, .factor = 1, .stride = box ? 2 : 1, .padding = 1, .box = box,
      .out_channels = channels, .out_height = out, .out_width = out};
  a.workspace = a.source.workspace = workspace;
  if (rso_layer_workspace(&a) > room) exit(1);
  return a;
}

#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,fma"))), \
                             apply_to = function)

static void measure(const char *what, rso_layer a) {
  printf("%s\n", what);
  CLOCKS("the layer", 10, lanes, avx512_layer(&a));
  avx512_row row = {.v = workspace, .u = u, .m = workspace + room / 2, .v_step = 17 * rso_block,
                    .m_step = 24 * rso_block, .in_channels = channels};
  for (int m = 4; m >= 3; m--) {
    char name[80];
    const int points = a.stride == 1 ? m + 2 : 2 * m + 1;
    snprintf(name, sizeof name, "row of %d outputs, %d multiply-adds", m, points * channels * 8);
    CLOCKS(name, 200, 1, avx512_row_products(&row, lanes, m, a.stride));
  }
  if (!a.source.mixed) return;
  CLOCKS("moments of what is mixed", 10, lanes,
         avx512_mixed_moments(&a.source, offset, valid, sums, 64, NULL, 0));
}

// Eight multiply-adds, additions, maxima, loads or stores of 512 bits, in registers of their own.
#define EIGHT(f) f(0) f(1) f(2) f(3) f(4) f(5) f(6) f(7)
#define FMA(i) "vfmadd231ps %%zmm31, %%zmm30, %%zmm" #i "\n"
#define ADD(i) "vaddps %%zmm31, %%zmm1" #i ", %%zmm1" #i "\n"
#define MAX(i) "vmaxps %%zmm31, %%zmm2" #i ", %%zmm2" #i "\n"
#define LOAD(i) "vmovaps " #i "*64(%0), %%zmm2" #i "\n"
#define STORE(i) "vmovaps %%zmm31, " #i "*64(%0)\n"
#define LOOP(what, code)                                                                         \
  CLOCKS(what, 100000, 1,                                                                        \
         __asm__ volatile(code ::"r"(y) : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", \
                          "xmm6", "xmm7", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15",  \
                          "xmm16", "xmm17", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24",         \
                          "xmm25", "xmm26", "xmm27"))

static void units(void) {
  printf("eight of each, at once\n");
  LOOP("multiply-adds", EIGHT(FMA));
  LOOP("multiply-adds, additions", EIGHT(FMA) EIGHT(ADD));
  LOOP("multiply-adds, maxima", EIGHT(FMA) EIGHT(MAX));
  LOOP("additions, maxima", EIGHT(ADD) EIGHT(MAX));
  LOOP("multiply-adds, loads", EIGHT(FMA) EIGHT(LOAD));
  LOOP("stores", EIGHT(STORE));
  LOOP("stores, additions twice", EIGHT(ADD) EIGHT(STORE) EIGHT(ADD));
  LOOP("stores, multiply-adds", EIGHT(STORE) EIGHT(FMA));
  LOOP("stores, multiply-adds twice", EIGHT(FMA) EIGHT(STORE) EIGHT(FMA));
}

int main(void) {
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512dq")) {
    fprintf(stderr, "clocks: expected a processor with AVX-512, found none\n");
    return 1;
  }
  x = numbers(room), b = numbers(room), y = numbers(room), w = numbers(16 * 16 * 9);
  scale = numbers(96), offset = numbers(96), workspace = numbers(room), u = numbers(16 * 16 * 512);
  // A core starts one 512-bit multiply-add a clock.
  float sink[2] = {1, 0};
  for (int r = 0; r < rounds; r++) {
    const double start = now();
    const double operations = rso_kernels_at(0)->peak(200000, sink);
    const double rate = operations / 32 / (now() - start);
    if (rate > clocks_per_second) clocks_per_second = rate;
  }
  printf("%.2f GHz\n", clocks_per_second * 1e-9);
  measure("7x7", layer(7, 0, NULL));
  measure("7x7, mixed", layer(7, 0, b));
  measure("14x14, box, stride 2", layer(14, 1, NULL));
  measure("14x14, mixed, box, stride 2", layer(14, 1, b));
  units();
  return 0;
}
#pragma clang attribute pop

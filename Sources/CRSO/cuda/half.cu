// The products of `matrix.cu` in half precision: steps of sixteen inputs and taps, where TF32 has eight.
//
// Halves have 11 bits, as TF32 has, but end at 65504, and have fewer bits below 2^-14. So inputs and weights come with a
// power of two each that brings the largest they can be to 2^15 and 2^14. Batch norm says how large an input can be: n
// numbers of mean 0 and variance 1 are at most sqrt(n), which |gamma| multiplies and |beta| shifts.
//
// Three PASSES split every factor x into h = half(x) and half(x - h). What is left of x is at most 2^-22 |x|, or 2^-25
// if that is more: numbers below 2^-3. Beside inputs of up to 2^15 and their typical size, 2^15 / sqrt(n), which is 2^4
// with n = 2^22 numbers in a channel, that is 2^-29: below single precision's 2^-24.

// Two factors as a register of two halves: the first is the lower one.
template <int PASSES> static __device__ Split halves(float a, float b) {
  const unsigned large = halvesOf(a, b);
  if (PASSES == 1)
    return {large, 0};
  const float2 two = floatsOf(large);
  return {large, halvesOf(a - two.x, b - two.y)};
}

// sums += a b over sixteen inputs and taps, for one part of each factor.
static __device__ void multiplyHalf(float (&c)[4], unsigned a0, unsigned a1, unsigned a2, unsigned a3, unsigned b0,
                                    unsigned b1) {
#ifdef RSO_CARD
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
#endif
}

// Both matrices of a place. a, b: one tap or line, for outputs lane / 4 and lane / 4 + 8 and for both matrices; c, d: the
// other one.
template <int PASSES>
static __device__ void multiplyHalf(float (&sums)[2][4], const Split (&a)[2], const Split (&b)[2], const Split (&c)[2],
                                    const Split (&d)[2], int pass) {
#pragma unroll
  for (int j = 0; j < 2; ++j)
    multiplyHalf(sums[j], first<PASSES>(a[0], pass), first<PASSES>(a[1], pass), first<PASSES>(c[0], pass),
                 first<PASSES>(c[1], pass), second<PASSES>(b[j], pass), second<PASSES>(d[j], pass));
}

// As `multiplyLine`: eight inputs by two taps at a time, the first two of the line, then the third and nothing.
template <int STRIP, int PASSES, bool WHOLE, class In>
static __device__ void multiplyLineHalf(Products<STRIP> &sums, const In *x, int between, const Ramp (&ramps)[2],
                                        const Split (&taps)[3][2], int width) {
  const Split none[2] = {{0, 0}, {0, 0}};
  Split before[2] = {{0, 0}, {0, 0}};
#pragma unroll
  for (int c = 0; c < STRIP + 2; ++c) {
    const int column = sums.left + c;
    Split now[2] = {{0, 0}, {0, 0}};
    if ((WHOLE && c > 0 && c < STRIP + 1) || (column >= 0 && column < width)) {
      const float2 near = pair(x + c * matrix_samples), far = pair(x + c * matrix_samples + between);
      now[0] = halves<PASSES>(apply(ramps[0], near.x), apply(ramps[1], far.x));
      now[1] = halves<PASSES>(apply(ramps[0], near.y), apply(ramps[1], far.y));
    }
#pragma unroll
    for (int pass = 0; pass < PASSES; ++pass) {
      if (c >= 1 && c - 1 < STRIP)
        multiplyHalf<PASSES>(sums.v[c - 1], taps[0], before, taps[1], now, pass);
      if (c >= 2)
        multiplyHalf<PASSES>(sums.v[c - 2], taps[2], now, none, none, pass);
    }
    before[0] = now[0];
    before[1] = now[1];
  }
}

// As `multiplyBoxes`: two inputs by four taps by two lines at a time. x: the lines; NULL: outside the image.
template <int STRIP, int PASSES, class In>
static __device__ void multiplyBoxesHalf(Products<STRIP> &sums, const In *const (&x)[2], const Ramp &ramp,
                                         const Split (&taps)[2][2], int width) {
  const int left = sums.left + threadIdx.x / 2 % 2;
  float2 v[2][STRIP + 1];
#pragma unroll
  for (int line = 0; line < 2; ++line)
#pragma unroll
    for (int c = 0; c < STRIP + 1; ++c) {
      v[line][c] = make_float2(0, 0);
      if (x[line] && left + 2 * c >= 0 && left + 2 * c < width) {
        const float2 two = pair(x[line] + 2 * c * matrix_samples);
        v[line][c] = make_float2(apply(ramp, two.x), apply(ramp, two.y));
      }
    }
#pragma unroll
  for (int p = 0; p < STRIP; ++p) {
    Split b[2][2];
#pragma unroll
    for (int line = 0; line < 2; ++line) {
      b[line][0] = halves<PASSES>(v[line][p].x, v[line][p + 1].x);
      b[line][1] = halves<PASSES>(v[line][p].y, v[line][p + 1].y);
    }
#pragma unroll
    for (int pass = 0; pass < PASSES; ++pass)
      multiplyHalf<PASSES>(sums.v[p], taps[0], b[0], taps[1], b[1], pass);
  }
}

// As `multiplyWindow`. factor: that of the weights.
template <int STRIP, bool BOX, int PASSES, class In>
static __device__ void multiplyHalves(Products<STRIP> &sums, const In *x, const float *weights, const Ramp (&ramps)[2],
                                      const rso_gpu_slide &w, int between, int step, float factor) {
  constexpr int kernel = BOX ? 4 : 3, lines = BOX ? 2 : 1;
  const int line = w.width * matrix_samples;
  // A tap's weights for both inputs (BOX: for both columns), of output lane / 4 + 8 * row.
  auto tap = [&](int ky, int kx, int row) {
    const float *at = weights + (ky * kernel + kx) * tile_outputs + row * 8;
    return halves<PASSES>(factor * at[0], factor * at[step]);
  };
#pragma unroll
  for (int ky = 0; ky < kernel; ky += lines) {
    if constexpr (BOX) {
      const In *const two[2] = {isInside(sums, w, ky) ? x + ky * line : 0,
                                isInside(sums, w, ky + 1) ? x + (ky + 1) * line : 0};
      const Split taps[2][2] = {{tap(ky, 0, 0), tap(ky, 0, 1)}, {tap(ky + 1, 0, 0), tap(ky + 1, 0, 1)}};
      if (two[0] || two[1])
        multiplyBoxesHalf<STRIP, PASSES>(sums, two, ramps[0], taps, w.width);
    } else if (isInside(sums, w, ky)) {
      const Split taps[3][2] = {
          {tap(ky, 0, 0), tap(ky, 0, 1)}, {tap(ky, 1, 0), tap(ky, 1, 1)}, {tap(ky, 2, 0), tap(ky, 2, 1)}};
      whether(isWhole(sums, w, 1), [&](auto whole) {
        multiplyLineHalf<STRIP, PASSES, decltype(whole)::value>(sums, x + ky * line, 4 * between, ramps, taps, w.width);
      });
    }
  }
}

// The products of `matrix.cu` in TF32, for one part of each factor or three products of two parts.

template <int PASSES> static __device__ Split split(float x) {
#ifdef RSO_CARD
  // Rounded, since tensor cores drop the lower 13 bits.
  unsigned large = __float_as_uint(x) + 0x1000;
  if (PASSES == 1)
    return {large, 0};
  large &= 0xFFFFE000;
  return {large, __float_as_uint(x - __uint_as_float(large))};
#else
  return {0, 0};
#endif
}

// sums += a b over eight inputs and taps, for one part of each factor.
static __device__ void multiply(float (&c)[4], unsigned a0, unsigned a1, unsigned a2, unsigned a3, unsigned b0,
                                unsigned b1) {
#ifdef RSO_CARD
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
#endif
}

// Both matrices of a place, for eight inputs and taps.
template <int PASSES>
static __device__ void multiply(float (&sums)[2][4], const Split (&a)[4], const Split (&b)[2], const Split (&c)[2],
                                int pass) {
#pragma unroll
  for (int j = 0; j < 2; ++j)
    multiply(sums[j], first<PASSES>(a[0], pass), first<PASSES>(a[1], pass), first<PASSES>(a[2], pass),
             first<PASSES>(a[3], pass), second<PASSES>(b[j], pass), second<PASSES>(c[j], pass));
}

// Two neighbouring samples of a place, mapped and split.
template <int PASSES>
static __device__ void splitPair(Split (&b)[2], const float *x, const Ramp &ramp) {
  const float2 two = pair(x);
  b[0] = split<PASSES>(apply(ramp, two.x));
  b[1] = split<PASSES>(apply(ramp, two.y));
}

// One line of the window for a strip: eight inputs by one tap at a time. A thread has two of the inputs, `between`
// floats apart. It goes column by column, through all taps of each, so that few numbers are in registers, and pass by
// pass, so that products of the same sum are far apart. WHOLE: the strip's places are inside the image.
template <int STRIP, int PASSES, bool WHOLE>
static __device__ void multiplyLine(Products<STRIP> &sums, const float *x, int between, const Ramp (&ramps)[2],
                                    const Split (&taps)[3][4], int width) {
#pragma unroll
  for (int c = 0; c < STRIP + 2; ++c) {
    const int column = sums.left + c;
    if ((!WHOLE || c == 0 || c == STRIP + 1) && (column < 0 || column >= width))
      continue;
    Split near[2], far[2];
    splitPair<PASSES>(near, x + c * matrix_samples, ramps[0]);
    splitPair<PASSES>(far, x + c * matrix_samples + between, ramps[1]);
#pragma unroll
    for (int pass = 0; pass < PASSES; ++pass)
#pragma unroll
      for (int kx = 0; kx < 3; ++kx)
        if (c - kx >= 0 && c - kx < STRIP)
          multiply<PASSES>(sums.v[c - kx], taps[kx], near, far, pass);
  }
}

// The same for a mean of 2×2 places with stride 2: two inputs by four taps at a time. A thread has every other column,
// starting with the first or the second.
template <int STRIP, int PASSES, bool WHOLE>
static __device__ void multiplyBoxes(Products<STRIP> &sums, const float *x, const Ramp &ramp, const Split (&taps)[4],
                                     int width) {
  const int left = sums.left + threadIdx.x / 2 % 2;
  Split b[STRIP + 1][2];
#pragma unroll
  for (int c = 0; c < STRIP + 1; ++c) {
    b[c][0] = b[c][1] = {0, 0};
    if ((WHOLE && c > 0 && c < STRIP) || (left + 2 * c >= 0 && left + 2 * c < width))
      splitPair<PASSES>(b[c], x + 2 * c * matrix_samples, ramp);
  }
#pragma unroll
  for (int pass = 0; pass < PASSES; ++pass)
#pragma unroll
    for (int p = 0; p < STRIP; ++p)
      multiply<PASSES>(sums.v[p], taps, b[p], b[p + 1], pass);
}

// All lines of the window, for one group of inputs. A thread's inputs begin at x, its weights at `weights`, as in `matrix`.
template <int STRIP, bool BOX, int PASSES>
static __device__ void multiplyWindow(Products<STRIP> &sums, const float *x, const float *weights, const Ramp (&ramps)[2],
                                      const rso_gpu_slide &w, int between, int step) {
  constexpr int kernel = BOX ? 4 : 3;
  const bool isAll = isWhole(sums, w, BOX ? 2 : 1);
#pragma unroll
  for (int ky = 0; ky < kernel; ++ky, x += w.width * matrix_samples, weights += kernel * tile_outputs) {
    if (!isInside(sums, w, ky))
      continue;
    Split taps[3][4];
#pragma unroll
    for (int kx = 0; kx < (BOX ? 1 : 3); ++kx)
#pragma unroll
      for (int k = 0; k < 4; ++k)
        taps[kx][k] = split<PASSES>(weights[kx * tile_outputs + k / 2 * step + k % 2 * 8]);
    whether(isAll, [&](auto whole) {
      if constexpr (BOX)
        multiplyBoxes<STRIP, PASSES, decltype(whole)::value>(sums, x, ramps[0], taps[0], w.width);
      else
        multiplyLine<STRIP, PASSES, decltype(whole)::value>(sums, x, 4 * between, ramps, taps, w.width);
    });
  }
}

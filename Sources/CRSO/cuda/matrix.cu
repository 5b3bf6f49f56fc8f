// 3×3 convolutions on tensor cores: those of `tile.cu` with whole groups of inputs and no rest to start from.
//
// A block computes neighbouring strips of STRIP places for 16 samples and 16 outputs; a warp computes one strip. For
// each place it has matrices of outputs × samples. They sum over eight inputs at a time, or over two inputs times four
// neighbouring taps. Inputs come in groups through shared memory.
//
// Tensor cores multiply numbers of 11 bits (TF32). Three PASSES split every factor into two such numbers and leave out
// only the product of the two small parts: as exact as single precision, except for the order of sums.

enum {
  matrix_stages = 2,
  matrix_samples = 16,
  // Extra floats between inputs, so that a warp's reads hit different banks.
  matrix_gap = 8,
};

// Numbers from one input to the next in shared memory. Of halves, a warp reads a bank for every two samples: a place of 16
// takes eight banks. Inputs are 8 or 24 banks apart; BOX, where the warp reads two places at a time: 16 of the 32 banks.
template <bool BOX, class In> static __device__ int betweenInputs(int places) {
  constexpr int gap = sizeof(In) == sizeof(Half) ? (BOX ? 32 : 16) : matrix_gap;
  return sizeof(In) == sizeof(Half) ? (places * matrix_samples + 2 * gap - 1) / (2 * gap) * (2 * gap) + gap
                                    : places * matrix_samples + gap;
}

// A thread's four numbers of each 16×8 matrix: outputs lane / 4 and lane / 4 + 8, columns 2 (lane % 4) and the next.
// Columns of a place's two matrices are samples: column c of matrix j is sample 2 c + j, so a thread has four in a row.
template <int STRIP> struct Products {
  float v[STRIP][2][4];
  int row, left, at;
};

// A factor split in two.
struct Split {
  unsigned large, small;
};

// The parts of two factors that a pass multiplies: small by large, large by small, large by large.
template <int PASSES> static __device__ unsigned first(const Split &s, int pass) {
  return PASSES > 1 && pass == 0 ? s.small : s.large;
}
template <int PASSES> static __device__ unsigned second(const Split &s, int pass) {
  return PASSES > 1 && pass == 1 ? s.small : s.large;
}

// Calls `body` with a truth that the compiler knows.
template <bool VALUE> struct Truth {
  static constexpr bool value = VALUE;
};
template <class Body> static __device__ void whether(bool isSo, const Body &body) {
  if (isSo)
    body(Truth<true>());
  else
    body(Truth<false>());
}

// Whether a line of the window is inside the image, and all places of the strip.
template <int STRIP> static __device__ bool isInside(const Products<STRIP> &sums, const rso_gpu_slide &w, int line) {
  return sums.row + line >= 0 && sums.row + line < w.height;
}
template <int STRIP> static __device__ bool isWhole(const Products<STRIP> &sums, const rso_gpu_slide &w, int stride) {
  return sums.left + STRIP * stride < w.width;
}

#include "tf32.cu"
#include "half.cu"

#ifndef RSO_CARD
// Computes a thread's part of the products one by one, since the tests have no tensor cores.
template <int STRIP, int PASSES, int INPUTS, bool HALF, class In>
static void multiplyOneByOne(Products<STRIP> &sums, const In *x, const float *weights, const Ramp *ramps,
                             const rso_gpu_slide &w, int between, int betweenWeights, int kernel, float factor) {
  auto rounded = [](float v) {
    uint32_t bits;
    memcpy(&bits, &v, 4);
    if (PASSES == 1)
      bits = (bits + 0x1000) & 0xFFFFE000;
    memcpy(&v, &bits, 4);
    return v;
  };
  int lane = threadIdx.x % 32, stride = kernel - 2;
  for (int i = 0; i < INPUTS; ++i)
    for (int ky = 0; ky < kernel; ++ky)
      for (int kx = 0; kx < kernel; ++kx)
        for (int p = 0; p < STRIP; ++p) {
          int row = sums.row + ky, column = sums.left + p * stride + kx;
          if (row < 0 || row >= w.height || column < 0 || column >= w.width)
            continue;
          for (int half = 0; half < 2; ++half)
            for (int e = 0; e < 4; ++e) {
              float v = number(x + i * between + (ky * w.width + p * stride + kx) * matrix_samples + lane % 4 * 4 + e);
              float weight = weights[i * betweenWeights + (ky * kernel + kx) * tile_outputs + lane / 4 + 8 * half];
              // Column 2 (lane % 4) + e / 2 of matrix e % 2.
              float &sum = sums.v[p][e % 2][2 * half + e / 2];
              if (HALF) {
                const float a = factor * weight, b = apply(ramps[i], v), la = halfOf(a), lb = halfOf(b);
                if (PASSES > 1)
                  sum = sum + halfOf(a - la) * lb + la * halfOf(b - lb);
                sum += la * lb;
              } else {
                sum += rounded(weight) * rounded(apply(ramps[i], v));
              }
            }
        }
}
#endif

// BOX: the input is the mean of 2×2 places and the stride is 2: a 4×4 kernel of summed weights. Padding is 1.
// HALF: in half precision (`half.cu`). In: the kind of the input's numbers; halves are for one product in half precision, as
// are halves that are written.
template <int STRIP, bool BOX, int PASSES, int THREADS, bool HALF, class In>
static __device__ void matrixOf(const rso_gpu_convolve &a) {
  constexpr int kernel = BOX ? 4 : 3, stride = BOX ? 2 : 1, taps = kernel * kernel;
  // Inputs per group.
  constexpr int inputs = BOX ? 2 : 8;
  const rso_gpu_slide &w = a.window;
  const rso_gpu_turn *turn = a.turn;
  const int perRow = (w.out_width + STRIP - 1) / STRIP;
  const int candidate = blockIdx.x % a.candidates, firstSample = blockIdx.x / a.candidates * matrix_samples;
  const int firstStrip = blockIdx.y * (blockDim.x / 32), firstOutput = blockIdx.z * tile_outputs;
  // Rows of the input that the block reads.
  const int top = firstStrip / perRow * stride - 1;
  const int begin = top < 0 ? 0 : top;
  const int end = top + a.tile_rows < w.height ? top + a.tile_rows : w.height;
  const int between = betweenInputs<BOX, In>(a.tile_rows * w.width);
  constexpr int betweenWeights = taps * tile_outputs + matrix_gap;
  // In floats.
  const int stage = inputs * (between * (int)sizeof(In) / (int)sizeof(float) + betweenWeights);
  RSO_SHARED(shared);

  const long long area = (long long)w.height * w.width * a.samples;
  const In *x = (const In *)a.x.data + offset(a.x, turn, candidate) + firstSample + (long long)begin * w.width * a.samples;
  const float *packed = a.weights + (long long)blockIdx.z * a.inputs * betweenWeights;
  // Fetches the inputs and weights of a group.
  auto fetchInputs = [&](int group) {
    if (group * inputs < a.inputs) {
      In *to = (In *)(shared + group % matrix_stages * stage);
      float *own = (float *)(to + inputs * between);
      const float *weights = packed + (long long)group * inputs * betweenWeights;
      for (int q = threadIdx.x * 4; q < inputs * betweenWeights; q += blockDim.x * 4)
        fetch(own + q, weights + q);
      const int quad = threadIdx.x % 4 * 4, count = (end - begin) * w.width;
      if (firstSample + quad < a.samples) {
        const In *from = x + group * inputs * area + (threadIdx.x / 4) * a.samples + quad;
        to += threadIdx.x * 4;
        for (int place = threadIdx.x / 4; place < count; place += blockDim.x / 4) {
#pragma unroll
          for (int i = 0; i < inputs; ++i)
            fetch(to + i * between, from + i * area);
          from += blockDim.x / 4 * a.samples;
          to += blockDim.x * 4;
        }
      }
    }
    fetched();
  };
  // The map of every input, computed once.
  float2 *maps = (float2 *)(shared + matrix_stages * stage);
  RSO_THREADS {
    for (int group = 0; group < matrix_stages - 1; ++group)
      fetchInputs(group);
    for (int i = threadIdx.x; i < a.inputs; i += blockDim.x) {
      Map m = map(a.x, candidate, i);
      maps[i] = HALF ? make_float2(a.x_factor * m.scale, a.x_factor * m.offset) : make_float2(m.scale, m.offset);
    }
  }
  const float floor = a.x.activation.function == rso_relu ? 0 : -RSO_INFINITY;
  auto rampOf = [&](int input) { return Ramp{maps[input].x, maps[input].y, floor}; };

  const int plane = w.out_height * w.out_width;
  Products<STRIP> kept[RSO_KEPT(THREADS)];
  RSO_THREADS {
    Products<STRIP> &sums = kept[RSO_SELF];
    int lane = threadIdx.x % 32, strip = firstStrip + threadIdx.x / 32;
    sums.row = strip / perRow * stride - 1;
    sums.left = strip % perRow * STRIP * stride - 1;
    sums.at = ((sums.row - begin) * w.width + sums.left) * matrix_samples;
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      int output = firstOutput + lane / 4 + e / 2 * 8;
      float bias = a.bias && output < a.outputs ? a.bias[output] : 0;
      if (HALF)
        bias *= a.x_factor * a.w_factor;
#pragma unroll
      for (int p = 0; p < STRIP; ++p)
        sums.v[p][0][e] = sums.v[p][1][e] = bias;
    }
  }

  for (int group = 0; group * inputs < a.inputs; ++group) {
    RSO_THREADS { await<matrix_stages - 2>(); }
    // The group has arrived, and no thread reads the previous one any more.
    __syncthreads();
    RSO_THREADS {
      fetchInputs(group + matrix_stages - 1);
      Products<STRIP> &sums = kept[RSO_SELF];
      const In *at = (const In *)(shared + group % matrix_stages * stage);
      const float *weights = (const float *)(at + inputs * between);
#ifdef RSO_CARD
      // This thread's inputs and taps; see `multiplyLine`.
      const int lane = threadIdx.x % 32, input = lane % (BOX ? 2 : 4), parity = BOX ? lane / 2 % 2 : 0;
      const int step = BOX ? 2 * tile_outputs : 4 * betweenWeights;
      const Ramp ramps[2] = {rampOf(group * inputs + input), rampOf(group * inputs + input + (BOX ? 0 : 4))};
      at += input * between + sums.at + parity * matrix_samples + lane / 4 * 2;
      weights += input * betweenWeights + parity * tile_outputs + lane / 4;
      if constexpr (HALF)
        multiplyHalves<STRIP, BOX, PASSES>(sums, at, weights, ramps, w, between, step, a.w_factor);
      else
        multiplyWindow<STRIP, BOX, PASSES>(sums, at, weights, ramps, w, between, step);
#else
      Ramp ramps[inputs];
      for (int i = 0; i < inputs; ++i)
        ramps[i] = rampOf(group * inputs + i);
      multiplyOneByOne<STRIP, PASSES, inputs, HALF>(sums, at + sums.at, weights, ramps, w, between, betweenWeights, kernel,
                                                    a.w_factor);
#endif
    }
  }

  // Write the output and, if wanted, its sums, which reuse the memory of the stages.
  __syncthreads();
  RSO_THREADS {
    Products<STRIP> &sums = kept[RSO_SELF];
    int lane = threadIdx.x % 32, strip = firstStrip + threadIdx.x / 32;
    int row = strip / perRow, column = strip % perRow * STRIP, n = firstSample + lane % 4 * 4;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      int output = firstOutput + lane / 4 + half * 8;
      float sum = 0, square = 0;
      if (n < a.samples && row < w.out_height && output < a.outputs)
        writing<HALF && PASSES == 1>(a.y, turn, candidate, [&](auto y) {
          y = y + (((long long)output * plane + row * w.out_width + column) * a.samples + n);
#pragma unroll
          for (int p = 0; p < STRIP; ++p)
            if (column + p < w.out_width) {
              Quad quad;
#pragma unroll
              for (int e = 0; e < 4; ++e) {
                float v = sums.v[p][e % 2][2 * half + e / 2];
                if (HALF)
                  v *= a.y_factor;
                v = quad.v[e] = seen(y, v);
                v = n + e < a.count ? v : 0;
                sum += v;
                square += v * v;
              }
              store(y + p * a.samples, quad);
            }
        });
      shared[half * 2 * THREADS + threadIdx.x] = sum;
      shared[(half * 2 + 1) * THREADS + threadIdx.x] = square;
    }
  }
  if (!a.partial)
    return;
  __syncthreads();
  RSO_THREADS {
    // Four threads of every warp have a part of each output.
    int i = threadIdx.x, output = firstOutput + i / 2;
    if (i < 2 * tile_outputs && output < a.outputs) {
      const float *sums = shared + (i / 16 * 2 + i % 2) * THREADS + i / 2 % 8 * 4;
      double sum = 0;
      for (int warp = 0; warp < blockDim.x / 32; ++warp)
        for (int k = 0; k < 4; ++k)
          sum += sums[warp * 32 + k];
      int chunks = gridDim.x / a.candidates * gridDim.y;
      int chunk = blockIdx.x / a.candidates * gridDim.y + blockIdx.y;
      a.partial[(((long long)candidate * a.outputs + output) * chunks + chunk) * 2 + i % 2] = sum;
    }
  }
}

template <int STRIP, bool BOX, int PASSES, int THREADS, bool HALF = false>
static __device__ void matrix(const rso_gpu_convolve &a) {
  if constexpr (HALF && PASSES == 1) {
    if (a.x.unit != 0)
      return matrixOf<STRIP, BOX, PASSES, THREADS, HALF, Half>(a);
  }
  matrixOf<STRIP, BOX, PASSES, THREADS, HALF, float>(a);
}

#define MATRIX(name, strip, box, passes, threads, blocks)                                          \
  RSO_KERNEL void __launch_bounds__(threads, blocks) name(rso_gpu_convolve a) {                        \
    awaitEarlier();                                                                                    \
    matrix<strip, box, passes, threads>(a);                                                        \
  }
#define HALVES(name, strip, box, passes, threads, blocks)                                          \
  RSO_KERNEL void __launch_bounds__(threads, blocks) name(rso_gpu_convolve a) {                        \
    awaitEarlier();                                                                                    \
    matrix<strip, box, passes, threads, true>(a);                                                  \
  }
MATRIX(matrix7, 7, false, 3, 128, 4)
MATRIX(matrix8, 8, false, 3, 256, 2)
MATRIX(matrix7_box, 7, true, 3, 128, 4)
MATRIX(matrix8_box, 8, true, 3, 256, 2)
MATRIX(matrix7_tf32, 7, false, 1, 128, 4)
MATRIX(matrix8_tf32, 8, false, 1, 256, 2)
MATRIX(matrix7_box_tf32, 7, true, 1, 128, 5)
MATRIX(matrix8_box_tf32, 8, true, 1, 256, 2)
HALVES(matrix7_halves, 7, false, 3, 128, 4)
HALVES(matrix8_halves, 8, false, 3, 256, 2)
HALVES(matrix7_box_halves, 7, true, 3, 128, 4)
HALVES(matrix8_box_halves, 8, true, 3, 256, 2)
HALVES(matrix7_fp16, 7, false, 1, 128, 4)
HALVES(matrix8_fp16, 8, false, 1, 256, 2)
HALVES(matrix7_box_fp16, 7, true, 1, 128, 4)
HALVES(matrix8_box_fp16, 8, true, 1, 256, 2)

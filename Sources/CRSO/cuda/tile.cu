// 3×3 convolutions with many outputs: nearly all of the work.
//
// A block computes neighbouring strips of STRIP places in a row, for 32 samples and 16 outputs. A warp has one strip, a
// thread one sample of it, with OUTPUTS of the outputs in registers. Inputs come channel by channel through shared
// memory: while one channel is multiplied, the next two are being fetched. So a block reads each number from memory
// once, and nothing waits for it.

enum { tile_stages = 3, tile_samples = 32, tile_outputs = 16, tile_taps = 9 };

// A thread's sums, and where they are.
template <int STRIP, int OUTPUTS> struct Sums {
  float v[OUTPUTS][STRIP];
  // The first row and column of the strip's window in the input, and its offset in a stage.
  int row, left, at;
};

// Starts copying four numbers to shared memory.
static __device__ void fetch(float *to, const float *from) {
#ifdef RSO_CARD
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(
                   (unsigned)__cvta_generic_to_shared(to)),
               "l"(from));
#else
  *(float4 *)to = *(const float4 *)from;
#endif
}
static __device__ void fetch(Half *to, const Half *from) {
#ifdef RSO_CARD
  asm volatile("cp.async.ca.shared.global [%0], [%1], 8;" ::"r"((unsigned)__cvta_generic_to_shared(to)), "l"(from));
#else
  *(uint2 *)to = *(const uint2 *)from;
#endif
}
// Halves that become floats on the way: the thread waits for them.
static __device__ void fetch(float *to, const Half *from) { store(to, load(from)); }

// Ends a group of fetches.
static __device__ void fetched() {
#ifdef RSO_CARD
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits for this thread's fetches, except for the last LAST groups.
template <int LAST> static __device__ void await() {
#ifdef RSO_CARD
  asm volatile("cp.async.wait_group %0;" ::"n"(LAST) : "memory");
#endif
}

// A strip's part of an input line, mapped: the place left of the strip, its places, and the place right of it.
template <int COLUMNS>
static __device__ void line(float (&v)[COLUMNS], const float *x, const Ramp &ramp, int left, int width) {
  // All places of a whole strip are inside the image.
  if (left + COLUMNS - 1 <= width) {
#pragma unroll
    for (int c = 1; c < COLUMNS - 1; ++c)
      v[c] = apply(ramp, x[c * tile_samples]);
  } else {
#pragma unroll
    for (int c = 1; c < COLUMNS - 1; ++c)
      v[c] = left + c < width ? apply(ramp, x[c * tile_samples]) : 0;
  }
  v[0] = left >= 0 ? apply(ramp, x[0]) : 0;
  v[COLUMNS - 1] = left + COLUMNS - 1 < width ? apply(ramp, x[(COLUMNS - 1) * tile_samples]) : 0;
}

// BOX: the input is the mean of 2×2 places. Both windows have a padding of 1. EITHER: x or y may be halves.
template <int STRIP, int STRIDE, int OUTPUTS, bool BOX, int THREADS, bool EITHER>
static __device__ void tile(const rso_gpu_convolve &a) {
  constexpr int parts = tile_outputs / OUTPUTS;
  constexpr int columns = STRIP * STRIDE + 2;
  const rso_gpu_slide &w = a.window;
  const rso_gpu_turn *turn = a.turn;
  const int perRow = (w.out_width + STRIP - 1) / STRIP;
  const int candidate = blockIdx.x % a.candidates, firstSample = blockIdx.x / a.candidates * tile_samples;
  const int firstStrip = blockIdx.y * (blockDim.x / 32 / parts), firstOutput = blockIdx.z * tile_outputs;
  // Rows of the input that the block reads.
  const int top = firstStrip / perRow * STRIDE - 1;
  const int begin = top < 0 ? 0 : top;
  const int end = top + a.tile_rows < w.height ? top + a.tile_rows : w.height;
  const int channel = a.tile_rows * w.width * tile_samples, stage = channel + tile_taps * tile_outputs;
  RSO_SHARED(shared);

  const rso_gpu_unit *units = a.units ? a.units + turn->first_unit : 0;
  const long long area = (long long)w.height * w.width * a.samples;
  const Numbers x = numbers(a.x, turn, candidate) + (firstSample + (long long)begin * w.width * a.samples);
  auto fetchChannel = [&](int i) {
    if (i < a.inputs) {
      float *to = shared + i % tile_stages * stage;
      const int quad = threadIdx.x % 8 * 4, count = (end - begin) * w.width;
      if (firstSample + quad < a.samples)
        reading<EITHER>(x + (i * area + (threadIdx.x / 8) * a.samples + quad), [&](auto *from) {
          for (int place = threadIdx.x / 8; place < count; place += blockDim.x / 8) {
            fetch(to + place * tile_samples + quad, from);
            from += blockDim.x / 8 * a.samples;
          }
        });
      int row = units     ? units[i / a.width].channel * a.width + i % a.width
                : a.lone ? turn->channel * a.width + i
                         : i;
      const float *weights = a.weights + (long long)row * tile_taps * a.padded_outputs + firstOutput;
      for (int q = threadIdx.x; q < tile_taps * tile_outputs / 4; q += blockDim.x)
        fetch(to + channel + 4 * q, weights + q / 4 * a.padded_outputs + q % 4 * 4);
    }
    fetched();
  };
  RSO_THREADS {
    fetchChannel(0);
    fetchChannel(1);
  }

  // Load the values that each thread starts from.
  const int plane = w.out_height * w.out_width;
  Sums<STRIP, OUTPUTS> kept[RSO_KEPT(THREADS)];
  RSO_THREADS {
    Sums<STRIP, OUTPUTS> &sums = kept[RSO_SELF];
    int n = firstSample + threadIdx.x % 32, warp = threadIdx.x / 32;
    int strip = firstStrip + warp / parts, first = firstOutput + warp % parts * OUTPUTS;
    int row = strip / perRow, column = strip % perRow * STRIP;
    bool isInside = n < a.samples && row < w.out_height;
    bool isWhole = column + STRIP <= w.out_width && first + OUTPUTS <= a.outputs;
    sums.row = row * STRIDE - 1;
    sums.left = column * STRIDE - 1;
    sums.at = ((sums.row - begin) * w.width + sums.left) * tile_samples + threadIdx.x % 32;
    if (a.rest.data && isInside) {
      const float *rest = data(a.rest, turn, candidate) +
                          ((long long)first * plane + row * w.out_width + column) * a.samples + n;
      if (isWhole) {
#pragma unroll
        for (int o = 0; o < OUTPUTS; ++o, rest += (long long)plane * a.samples)
#pragma unroll
          for (int p = 0; p < STRIP; ++p)
            sums.v[o][p] = rest[p * a.samples];
      } else {
#pragma unroll
        for (int o = 0; o < OUTPUTS; ++o, rest += (long long)plane * a.samples)
#pragma unroll
          for (int p = 0; p < STRIP; ++p)
            sums.v[o][p] =
                first + o < a.outputs && column + p < w.out_width ? rest[p * a.samples] : 0;
      }
    } else {
#pragma unroll
      for (int o = 0; o < OUTPUTS; ++o) {
        float bias = a.bias && !a.rest.data && first + o < a.outputs ? a.bias[first + o] : 0;
#pragma unroll
        for (int p = 0; p < STRIP; ++p)
          sums.v[o][p] = bias;
      }
    }
  }

  for (int i = 0; i < a.inputs; ++i) {
    RSO_THREADS { await<1>(); }
    // Channel i has arrived, and no thread reads channel i - 1 any more.
    __syncthreads();
    RSO_THREADS {
      fetchChannel(i + 2);
      Sums<STRIP, OUTPUTS> &sums = kept[RSO_SELF];
      Ramp r = ramp(a.x, candidate, i);
      if (BOX) {
        // For the mean of four; this is exact.
        r.scale *= 0.25f;
        r.offset *= 0.25f;
      }
      const float sign = units ? units[i / a.width].sign : 1;
      const float *at = shared + i % tile_stages * stage;
      const float *weights = at + channel + threadIdx.x / 32 % parts * OUTPUTS;
      at += sums.at;
      float above[BOX ? columns - 1 : 1];
      // Rows below the image belong to strips that do not exist.
#pragma unroll
      for (int k = 0; k < (BOX ? 4 : 3); ++k, at += w.width * tile_samples) {
        bool isInside = sums.row + k >= 0 && sums.row + k < w.height;
        if (!BOX && !isInside)
          continue;
        float v[columns];
        if (isInside) {
          line(v, at, r, sums.left, w.width);
        } else {
#pragma unroll
          for (int c = 0; c < columns; ++c)
            v[c] = 0;
        }
        if (BOX) {
#pragma unroll
          for (int c = 0; c < columns - 1; ++c) {
            float below = v[c] + v[c + 1];
            v[c] = above[BOX ? c : 0] + below;
            above[BOX ? c : 0] = below;
          }
          if (k == 0)
            continue;
        }
        if (units) {
#pragma unroll
          for (int c = 0; c < columns; ++c)
            v[c] *= sign;
        }
        const float *weight = weights + (BOX ? k - 1 : k) * 3 * tile_outputs;
#pragma unroll
        for (int kx = 0; kx < 3; ++kx)
#pragma unroll
          for (int o = 0; o < OUTPUTS; o += 4) {
            Quad four = load(weight + kx * tile_outputs + o);
#pragma unroll
            for (int j = 0; j < 4; ++j)
#pragma unroll
              for (int p = 0; p < STRIP; ++p)
                sums.v[o + j][p] += four.v[j] * v[p * STRIDE + kx];
          }
      }
    }
  }

  // Write the output and, if wanted, its sums: [statistic][thread], which reuse the memory of the stages.
  __syncthreads();
  constexpr int pitch = THREADS + 1;
  RSO_THREADS {
    Sums<STRIP, OUTPUTS> &sums = kept[RSO_SELF];
    int n = firstSample + threadIdx.x % 32, warp = threadIdx.x / 32;
    int strip = firstStrip + warp / parts, part = warp % parts * OUTPUTS, first = firstOutput + part;
    int row = strip / perRow, column = strip % perRow * STRIP;
    bool isInside = n < a.samples && row < w.out_height, counts = isInside && n < a.count;
    bool isWhole = column + STRIP <= w.out_width && first + OUTPUTS <= a.outputs;
    if (isInside)
      writing<EITHER>(a.y, turn, candidate, [&](auto y) {
        y = y + (((long long)first * plane + row * w.out_width + column) * a.samples + n);
        auto write = [&](int o, int p) {
          sums.v[o][p] = seen(y, sums.v[o][p]);
          store(y + p * a.samples, sums.v[o][p]);
        };
        if (isWhole) {
#pragma unroll
          for (int o = 0; o < OUTPUTS; ++o, y = y + (long long)plane * a.samples)
#pragma unroll
            for (int p = 0; p < STRIP; ++p)
              write(o, p);
        } else {
#pragma unroll
          for (int o = 0; o < OUTPUTS; ++o, y = y + (long long)plane * a.samples)
#pragma unroll
            for (int p = 0; p < STRIP; ++p)
              if (first + o < a.outputs && column + p < w.out_width)
                write(o, p);
              else
                sums.v[o][p] = 0;
        }
      });
    if (a.partial) {
#pragma unroll
      for (int o = 0; o < OUTPUTS; ++o) {
        float sum = 0, square = 0;
#pragma unroll
        for (int p = 0; p < STRIP; ++p) {
          sum += sums.v[o][p];
          square += sums.v[o][p] * sums.v[o][p];
        }
        shared[(part + o) * pitch + threadIdx.x] = counts ? sum : 0;
        shared[(tile_outputs + part + o) * pitch + threadIdx.x] = counts ? square : 0;
      }
    }
  }
  if (!a.partial)
    return;
  __syncthreads();
  // A thread adds up one warp's part of a statistic; the warps with other outputs have no part of it.
  const int warps = blockDim.x / 32 / parts;
  double *perWarp = (double *)(shared + 2 * tile_outputs * pitch);
  RSO_THREADS {
    for (int i = threadIdx.x; i < 2 * tile_outputs * warps; i += blockDim.x) {
      int statistic = i / warps, warp = i % warps * parts + statistic % tile_outputs / OUTPUTS;
      const float *sums = shared + statistic * pitch + warp * 32;
      double sum = 0;
      // Threads start at different places, so that they hit different banks.
#pragma unroll 8
      for (int k = 0; k < 32; ++k)
        sum += sums[(k + i) % 32];
      perWarp[i] = sum;
    }
  }
  __syncthreads();
  RSO_THREADS {
    int i = threadIdx.x, output = firstOutput + i % tile_outputs;
    if (i < 2 * tile_outputs && output < a.outputs) {
      double sum = 0;
      for (int warp = 0; warp < warps; ++warp)
        sum += perWarp[i * warps + warp];
      int chunks = gridDim.x / a.candidates * gridDim.y;
      int chunk = blockIdx.x / a.candidates * gridDim.y + blockIdx.y;
      a.partial[(((long long)candidate * a.outputs + output) * chunks + chunk) * 2 + i / tile_outputs] = sum;
    }
  }
}

#define TILE(name, strip, stride, outputs, box, threads, blocks)                                   \
  RSO_KERNEL void __launch_bounds__(threads, blocks) name(rso_gpu_convolve a) {                    \
    awaitEarlier();                                                                                \
    if (a.x.unit != 0 || a.y.unit != 0)                                                            \
      tile<strip, stride, outputs, box, threads, true>(a);                                         \
    else                                                                                           \
      tile<strip, stride, outputs, box, threads, false>(a);                                        \
  }
TILE(tile7, 7, 1, 16, false, 128, 3)
TILE(tile4, 4, 1, 16, false, 256, 2)
TILE(tile7_box, 7, 2, 8, true, 256, 2)
TILE(tile4_box, 4, 2, 8, true, 256, 2)

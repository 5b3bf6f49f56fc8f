// Mixes one channel into a rest by a 3×3 convolution, for all candidates: a mixing layer's output for the channel under
// test.
//
// As in `tile.cu` a warp computes a strip of places for 32 samples, but for only 4 outputs, so that a thread has room
// for the rest, which is read once for all candidates. These come turn by turn, so that a block needs no more memory for
// a group of turns than for one.

enum { mix_outputs = 4, mix_parts = tile_outputs / mix_outputs };

template <int STRIP> struct Mixed {
  float rest[mix_outputs][STRIP];
};

// EITHER: y may be halves.
template <int STRIP, int THREADS, bool EITHER> static __device__ void mix(const rso_gpu_convolve &a) {
  constexpr int columns = STRIP + 2;
  const rso_gpu_slide &w = a.window;
  const rso_gpu_turn *turn = a.turn;
  const int perRow = (w.out_width + STRIP - 1) / STRIP, plane = w.out_height * w.out_width;
  const int firstSample = blockIdx.x * tile_samples;
  const int firstStrip = blockIdx.y * (blockDim.x / 32 / mix_parts), firstOutput = blockIdx.z * tile_outputs;
  const int top = firstStrip / perRow - 1, begin = top < 0 ? 0 : top;
  const int end = top + a.tile_rows < w.height ? top + a.tile_rows : w.height;
  const int image = a.tile_rows * w.width * tile_samples;
  RSO_SHARED(shared);
  float *weights = shared, *images = shared + tile_taps * tile_outputs, *statistics = images + a.each * image;
  Mixed<STRIP> kept[RSO_KEPT(THREADS)];

  // Fetches the images of the turn whose first candidate this is.
  auto fetchImages = [&](int first) {
    const int quad = threadIdx.x % 8 * 4, count = (end - begin) * w.width;
    if (firstSample + quad < a.samples)
      for (int candidate = 0; candidate < a.each; ++candidate) {
        const float *x = data(a.x, turn, first + candidate) + firstSample + quad;
        for (int place = threadIdx.x / 8; place < count; place += blockDim.x / 8)
          fetch(images + candidate * image + place * tile_samples + quad,
                x + (long long)(begin * w.width + place) * a.samples);
      }
    fetched();
  };
  RSO_THREADS {
    for (int q = threadIdx.x; q < tile_taps * tile_outputs / 4; q += blockDim.x)
      fetch(weights + 4 * q, a.weights + ((long long)turn->channel * tile_taps + q / 4) * a.padded_outputs +
                                 firstOutput + q % 4 * 4);
    fetchImages(0);
    Mixed<STRIP> &mixed = kept[RSO_SELF];
    int n = firstSample + threadIdx.x % 32, warp = threadIdx.x / 32, strip = firstStrip + warp / mix_parts;
    int row = strip / perRow, column = strip % perRow * STRIP, first = firstOutput + warp % mix_parts * mix_outputs;
    const float *rest =
        data(a.rest, turn, 0) + ((long long)first * plane + row * w.out_width + column) * a.samples + n;
#pragma unroll
    for (int o = 0; o < mix_outputs; ++o, rest += (long long)plane * a.samples)
#pragma unroll
      for (int p = 0; p < STRIP; ++p)
        mixed.rest[o][p] = n < a.samples && row < w.out_height && first + o < a.outputs && column + p < w.out_width
                               ? rest[p * a.samples]
                               : 0;
    await<0>();
  }
  __syncthreads();

  // [statistic][thread] for every candidate of a turn.
  constexpr int perStatistic = THREADS + 1, perResult = 2 * mix_outputs * perStatistic;
  for (int firstOfTurn = 0; firstOfTurn < a.candidates; firstOfTurn += a.each) {
    for (int own = 0; own < a.each; ++own) {
      const int candidate = firstOfTurn + own;
      float *sums = statistics + own * perResult;
      RSO_THREADS {
        const Mixed<STRIP> &mixed = kept[RSO_SELF];
        int n = firstSample + threadIdx.x % 32, warp = threadIdx.x / 32, strip = firstStrip + warp / mix_parts;
        int row = strip / perRow, column = strip % perRow * STRIP, part = warp % mix_parts * mix_outputs;
        const Ramp r = ramp(a.x, candidate, 0);
        const float *at = images + own * image + ((row - 1 - begin) * w.width + column - 1) * tile_samples +
                          threadIdx.x % 32;
        float y[mix_outputs][STRIP];
#pragma unroll
        for (int o = 0; o < mix_outputs; ++o)
#pragma unroll
          for (int p = 0; p < STRIP; ++p)
            y[o][p] = mixed.rest[o][p];
#pragma unroll
        for (int ky = 0; ky < 3; ++ky) {
          if (row + ky - 1 < 0 || row + ky - 1 >= w.height)
            continue;
          float v[columns];
          line(v, at + ky * w.width * tile_samples, r, column - 1, w.width);
#pragma unroll
          for (int kx = 0; kx < 3; ++kx) {
            Quad four = load(weights + (ky * 3 + kx) * tile_outputs + part);
#pragma unroll
            for (int o = 0; o < mix_outputs; ++o)
#pragma unroll
              for (int p = 0; p < STRIP; ++p)
                y[o][p] += four.v[o] * v[p + kx];
          }
        }
        bool isInside = n < a.samples && row < w.out_height;
        writing<EITHER>(a.y, turn, candidate, [&](auto to) {
          to = to + (((long long)(firstOutput + part) * plane + row * w.out_width + column) * a.samples + n);
#pragma unroll
          for (int o = 0; o < mix_outputs; ++o, to = to + (long long)plane * a.samples) {
            float sum = 0, square = 0;
#pragma unroll
            for (int p = 0; p < STRIP; ++p)
              if (isInside && firstOutput + part + o < a.outputs && column + p < w.out_width) {
                const float v = seen(to, y[o][p]);
                store(to + p * a.samples, v);
                sum += v;
                square += v * v;
              }
            sums[2 * o * perStatistic + threadIdx.x] = n < a.count ? sum : 0;
            sums[(2 * o + 1) * perStatistic + threadIdx.x] = n < a.count ? square : 0;
          }
        });
      }
    }
    const bool isLast = firstOfTurn + a.each >= a.candidates;
    if (isLast && !a.partial)
      return;
    __syncthreads();
    RSO_THREADS {
      if (!isLast)
        fetchImages(firstOfTurn + a.each);
      // A thread sums one statistic of one output.
      for (int i = threadIdx.x; a.partial && i < a.each * 2 * tile_outputs; i += blockDim.x) {
        int own = i / (2 * tile_outputs), o = i / 2 % tile_outputs, statistic = i % 2;
        if (firstOutput + o >= a.outputs)
          continue;
        const float *of =
            statistics + own * perResult + (o % mix_outputs * 2 + statistic) * perStatistic + o / mix_outputs * 32;
        double sum = 0;
        for (int strip = 0; strip < blockDim.x / 32 / mix_parts; ++strip)
#pragma unroll 8
          for (int k = 0; k < 32; ++k)
            sum += of[strip * mix_parts * 32 + (k + threadIdx.x) % 32];
        int chunk = blockIdx.x * gridDim.y + blockIdx.y, chunks = gridDim.x * gridDim.y;
        a.partial[(((long long)(firstOfTurn + own) * a.outputs + firstOutput + o) * chunks + chunk) * 2 + statistic] =
            sum;
      }
      await<0>();
    }
    __syncthreads();
  }
}

#define MIX(name, strip, threads, blocks)                                                          \
  RSO_KERNEL void __launch_bounds__(threads, blocks) name(rso_gpu_convolve a) {                    \
    awaitEarlier();                                                                                \
    if (a.y.unit != 0)                                                                             \
      mix<strip, threads, true>(a);                                                                \
    else                                                                                           \
      mix<strip, threads, false>(a);                                                               \
  }
MIX(mix7, 7, 256, 3)
// Three blocks keep a thread to the 80 registers that it had with two before it could write halves.
MIX(mix4, 4, 256, 3)

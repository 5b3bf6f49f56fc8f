// The channel under test.

// A change to replay: its size, the map of its input channel, and where its tap lies.
struct Change {
  float delta, scale, offset;
  int row, column;
  long long channel;
};

// Brings the kept channel up to date and computes from it every candidate's channel, turn by turn. A thread: four samples
// of a place. A block: one chunk of the channel, including its sums. Grid: x chunks.
RSO_KERNEL void __launch_bounds__(rso_gpu_threads) shift_add(rso_gpu_shift_add a) {
  awaitEarlier();
  __shared__ double sums[2 * rso_gpu_candidates][rso_gpu_threads];
  __shared__ Change changes[rso_gpu_threads];
  const rso_gpu_slide w = a.window;
  const rso_gpu_turn *turn = a.turn;
  const int taps = w.kernel_height * w.kernel_width, groups = a.samples / rso_gpu_quad;
  const int count = a.x.data ? turn->changes : 0;
  const long long area = (long long)w.height * w.width * a.samples;
  const int first = blockIdx.x * rso_gpu_threads, all = groups * w.out_height * w.out_width;
  Quad kept[RSO_KEPT(rso_gpu_threads)];

  RSO_THREADS {
    int group = first + threadIdx.x;
    if (group < all)
      kept[RSO_SELF] = load(data(a.z, turn, 0) + (long long)group * rso_gpu_quad);
  }
  for (int begin = 0; begin < count; begin += rso_gpu_threads) {
    __syncthreads();
    RSO_THREADS {
      int i = begin + threadIdx.x;
      if (i < count) {
        int element = a.changes[turn->first_change + i], row = element % a.per_channel;
        Map m = map(a.x, 0, row / taps);
        changes[threadIdx.x] = {a.parameters[element] - a.start[element],
                                m.scale,
                                m.offset,
                                row % taps / w.kernel_width - w.padding,
                                row % taps % w.kernel_width - w.padding,
                                row / taps * area};
      }
    }
    __syncthreads();
    RSO_THREADS {
      int group = first + threadIdx.x, place = group / groups;
      int row = place / w.out_width * w.stride, column = place % w.out_width * w.stride;
      const float *x = data(a.x, turn, 0) + group % groups * rso_gpu_quad;
      Quad &y = kept[RSO_SELF];
      int some = count - begin < rso_gpu_threads ? count - begin : rso_gpu_threads;
      enum { many = 4 };
      if (group < all)
        for (int i = 0; i < some; i += many) {
          // Keep many loads in flight.
          Quad v[many];
          bool isInside[many];
#pragma unroll
          for (int l = 0; l < many; ++l) {
            const Change &change = changes[i + l < some ? i + l : i];
            int r = row + change.row, c = column + change.column;
            isInside[l] = i + l < some && r >= 0 && r < w.height && c >= 0 && c < w.width;
            const float *at = x + change.channel + (long long)(r * w.width + c) * a.samples;
            v[l] = load(isInside[l] ? at : x);
          }
#pragma unroll
          for (int l = 0; l < many; ++l)
            if (isInside[l]) {
              const Change &change = changes[i + l];
              Map m = {change.scale, change.offset, a.x.scale != 0, a.x.activation};
              for (int k = 0; k < rso_gpu_quad; ++k)
                y.v[k] += change.delta * apply(m, v[l].v[k]);
            }
        }
    }
  }

  for (int begin = 0; begin < a.candidates; begin += a.each) {
    const rso_gpu_turn &own = turn[begin / a.each];
    RSO_THREADS {
      int group = first + threadIdx.x, place = group / groups, n = group % groups * rso_gpu_quad;
      Quad &y = kept[RSO_SELF];
      Quad v = {{1, 1, 1, 1}};
      if (group < all) {
        if (begin == 0 && count > 0)
          store(data(a.z, turn, 0) + (long long)group * rso_gpu_quad, y);
        if (a.x.data) {
          int q = under(w, place, own.tap);
          v = {{0, 0, 0, 0}};
          if (q >= 0)
            v = load(map(a.x, 0, own.input),
                     data(a.x, turn, 0) + own.input * area + (long long)q * a.samples + n);
        }
      }
      for (int candidate = 0; candidate < a.each; ++candidate) {
        double sum = 0, square = 0;
        if (group < all) {
          Quad shifted = y;
          for (int k = 0; k < rso_gpu_quad; ++k) {
            shifted.v[k] += own.delta[candidate] * v.v[k];
            if (n + k < a.count) {
              sum += shifted.v[k];
              square += (double)shifted.v[k] * shifted.v[k];
            }
          }
          store(data(a.y, turn, begin + candidate) + (long long)group * rso_gpu_quad, shifted);
        }
        sums[2 * candidate][threadIdx.x] = sum;
        sums[2 * candidate + 1][threadIdx.x] = square;
      }
    }
    if (!a.partial)
      continue;
    addUp(sums, 2 * a.each);
    RSO_THREADS {
      int i = threadIdx.x;
      if (i < 2 * a.each)
        a.partial[((long long)(begin + i / 2) * a.chunks + blockIdx.x) * 2 + i % 2] = sums[i][0];
    }
    // The next turn's sums take this one's place.
    __syncthreads();
  }
}

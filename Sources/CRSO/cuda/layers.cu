// Layers. Unless stated otherwise the grid is: x samples, y places, z candidates and channels.

// A thread computes one place of `OUTPUTS` channels. KERNEL: the window's side, 0: any.
// Every number read gives 4 · OUTPUTS multiply-adds; the weights are the same for the whole warp.
template <int OUTPUTS, int KERNEL> static __device__ void convolve(const rso_gpu_convolve &a) {
  int n = sample(), p = place();
  const rso_gpu_slide w = a.window;
  if (n >= a.samples || p >= w.out_height * w.out_width)
    return;
  const rso_gpu_turn *turn = a.turn;
  int tiles = a.padded_outputs / OUTPUTS;
  int candidate = blockIdx.z / tiles, first = blockIdx.z % tiles * OUTPUTS;
  const rso_gpu_unit *units = a.units ? a.units + turn->first_unit : 0;
  long long plane = (long long)w.out_height * w.out_width * a.samples;

  float sum[OUTPUTS][rso_gpu_quad];
  const float *rest = a.rest.data ? data(a.rest, turn, candidate) + (long long)p * a.samples + n : 0;
#pragma unroll
  for (int o = 0; o < OUTPUTS; ++o) {
    bool exists = first + o < a.outputs;
    Quad start = {{0, 0, 0, 0}};
    if (rest && exists) {
      start = load(rest + (first + o) * plane);
    } else if (a.bias && exists) {
      for (int k = 0; k < rso_gpu_quad; ++k)
        start.v[k] = a.bias[first + o];
    }
#pragma unroll
    for (int k = 0; k < rso_gpu_quad; ++k)
      sum[o][k] = start.v[k];
  }

  const int kernel = KERNEL ? KERNEL : w.kernel_width;
  const int top = p / w.out_width * w.stride - w.padding;
  const int left = p % w.out_width * w.stride - w.padding;
  const long long area = (long long)w.height * w.width * a.samples;
  reading(numbers(a.x, turn, candidate) + n, [&](auto *x) {
    for (int i = 0; i < a.inputs; ++i, x += area) {
      Map m = map(a.x, candidate, i);
      int row = i;
      float sign = 1;
      if (units) {
        rso_gpu_unit unit = units[i / a.width];
        row = unit.channel * a.width + i % a.width;
        sign = unit.sign;
      } else if (a.lone) {
        row = turn->channel * a.width + i;
      }
      const float *rows = a.weights + (long long)row * kernel * kernel * a.padded_outputs + first;
#pragma unroll
      for (int ky = 0; ky < kernel; ++ky) {
        if (top + ky < 0 || top + ky >= w.height)
          continue;
#pragma unroll
        for (int kx = 0; kx < kernel; ++kx) {
          if (left + kx < 0 || left + kx >= w.width)
            continue;
          Quad v = load(m, x + ((long long)(top + ky) * w.width + left + kx) * a.samples);
          if (units)
            for (int k = 0; k < rso_gpu_quad; ++k)
              v.v[k] *= sign;
          const float *weight = rows + (ky * kernel + kx) * a.padded_outputs;
#pragma unroll
          for (int o = 0; o < OUTPUTS; o += 4) {
            Quad four = load(weight + o);
#pragma unroll
            for (int j = 0; j < 4; ++j)
#pragma unroll
              for (int k = 0; k < rso_gpu_quad; ++k)
                sum[o + j][k] += four.v[j] * v.v[k];
          }
        }
      }
    }
  });
  writing(a.y, turn, candidate, [&](auto y) {
#pragma unroll
    for (int o = 0; o < OUTPUTS; ++o)
      if (first + o < a.outputs) {
        Quad quad;
#pragma unroll
        for (int k = 0; k < rso_gpu_quad; ++k)
          quad.v[k] = sum[o][k];
        store(y + ((first + o) * plane + (long long)p * a.samples + n), quad);
      }
  });
}

#define CONVOLVE(name, outputs, kernel)                                                            \
  RSO_KERNEL void __launch_bounds__(128) name(rso_gpu_convolve a) {                         \
    awaitEarlier();                                                                         \
    convolve<outputs, kernel>(a);                                                                  \
  }
CONVOLVE(convolve16_3, 16, 3)
CONVOLVE(convolve16_1, 16, 1)
CONVOLVE(convolve16, 16, 0)
CONVOLVE(convolve4, 4, 0)

// A thread computes four samples of one place of one channel.
RSO_KERNEL void depthwise(rso_gpu_depthwise a) {
  awaitEarlier();
  int n = sample(), p = place();
  const rso_gpu_slide w = a.window;
  if (n >= a.samples || p >= w.out_height * w.out_width)
    return;
  const rso_gpu_turn *turn = a.turn;
  int candidate = blockIdx.z / a.channels, c = blockIdx.z % a.channels;
  int taps = w.kernel_height * w.kernel_width;
  Map m = map(a.x, candidate, c);
  const Numbers x = numbers(a.x, turn, candidate) + ((long long)c * w.height * w.width * a.samples + n);
  const float *weights = a.weights + ((long long)a.width * turn->channel + c) * taps;
  float start = a.bias ? a.bias[a.width * turn->channel + c] : 0;
  const rso_gpu_turn &own = turn[a.swept ? candidate / a.each : 0];
  const float value = a.swept ? own.candidates[candidate % a.each] : 0;
  if (a.swept == 2 && c == own.row)
    start = value;
  // The swept tap; negative: none in this channel.
  int swept = a.swept == 1 && c == own.row / taps ? own.row % taps : -1;
  Quad y = {{start, start, start, start}};
  for (int tap = 0; tap < taps; ++tap) {
    int q = under(w, p, tap);
    if (q < 0)
      continue;
    Quad v = load(m, x + (long long)q * a.samples);
    float weight = tap == swept ? value : weights[tap];
    for (int k = 0; k < rso_gpu_quad; ++k)
      y.v[k] += weight * v.v[k];
  }
  writing(a.y, turn, candidate, [&](auto to) {
    store(to + (((long long)c * w.out_height * w.out_width + p) * a.samples + n), y);
  });
}

static __device__ float poolStart(int maximum) { return maximum ? -RSO_INFINITY : 0; }
static __device__ float pooled(int maximum, float y, float x) {
  return !maximum ? y + x : x >= y ? x : y;
}

// Pools every `step`th place of one sample's image, from x on; `count`: places from x to the image's end.
template <class AnyMap, class Number>
static __device__ float poolPlaces(const AnyMap &m, const Number *x, int count, int step, int samples, int maximum) {
  // Keep many loads in flight.
  enum { many = 16 };
  float y = poolStart(maximum);
  for (int p = 0; p < count; p += many * step) {
    float v[many];
#pragma unroll
    for (int k = 0; k < many; ++k)
      v[k] = number(x + (long long)(p + k * step < count ? p + k * step : p) * samples);
#pragma unroll
    for (int k = 0; k < many; ++k)
      if (p + k * step < count)
        y = pooled(maximum, y, apply(m, v[k]));
  }
  return y;
}

static __device__ float poolPlaces(const Map &m, const Numbers &x, int count, int step, int samples, int maximum) {
  float y = 0;
  reading(x, [&](auto *from) {
    y = m.activation.function > rso_relu ? poolPlaces(m, from, count, step, samples, maximum)
                                         : poolPlaces(ramp(m), from, count, step, samples, maximum);
  });
  return y;
}

// Pools whole images. A block has 32 samples, each with several threads. Grid: x samples, y channels, z candidates.
RSO_KERNEL void __launch_bounds__(rso_gpu_threads) pool_images(rso_gpu_pool a) {
  awaitEarlier();
  enum { parts = rso_gpu_threads / 32 };
  __shared__ float part[parts][32];
  const int c = blockIdx.y, candidate = blockIdx.z, area = a.window.height * a.window.width;
  RSO_THREADS {
    const int k = threadIdx.x / 32, n = blockIdx.x * 32 + threadIdx.x % 32;
    if (n < a.samples) {
      const Numbers x = numbers(a.x, a.turn, candidate) + (((long long)c * area + k) * a.samples + n);
      part[k][threadIdx.x % 32] = poolPlaces(map(a.x, candidate, c), x, area - k, parts, a.samples, a.maximum);
    }
  }
  __syncthreads();
  RSO_THREADS {
    const int n = blockIdx.x * 32 + threadIdx.x;
    if (threadIdx.x < 32 && n < a.samples) {
      float y = part[0][threadIdx.x];
#pragma unroll
      for (int k = 1; k < parts; ++k)
        y = pooled(a.maximum, y, part[k][threadIdx.x]);
      data(a.y, a.turn, candidate)[(long long)c * a.samples + n] = a.maximum ? y : y / area;
    }
  }
}

RSO_KERNEL void pool(rso_gpu_pool a) {
  awaitEarlier();
  int n = sample(), p = place();
  const rso_gpu_slide w = a.window;
  if (n >= a.samples || p >= w.out_height * w.out_width)
    return;
  int candidate = blockIdx.z / a.channels, c = blockIdx.z % a.channels;
  Map m = map(a.x, candidate, c);
  const Numbers x = numbers(a.x, a.turn, candidate) + ((long long)c * w.height * w.width * a.samples + n);
  int taps = w.kernel_height * w.kernel_width;
  float start = poolStart(a.maximum);
  Quad y = {{start, start, start, start}};
  for (int tap = 0; tap < taps; ++tap) {
    int q = under(w, p, tap);
    if (q < 0)
      continue;
    Quad v = load(m, x + (long long)q * a.samples);
    for (int k = 0; k < rso_gpu_quad; ++k)
      y.v[k] = pooled(a.maximum, y.v[k], v.v[k]);
  }
  if (!a.maximum)
    for (int k = 0; k < rso_gpu_quad; ++k)
      y.v[k] /= taps;
  writing(a.y, a.turn, candidate, [&](auto to) {
    store(to + (((long long)c * w.out_height * w.out_width + p) * a.samples + n), y);
  });
}

// A block sums one chunk of one channel. Grid: x chunks, y channels, z candidates.
RSO_KERNEL void __launch_bounds__(rso_gpu_threads) moments(rso_gpu_moments a) {
  awaitEarlier();
  __shared__ double sums[2][rso_gpu_threads];
  int chunk = blockIdx.x, c = blockIdx.y, candidate = blockIdx.z;
  Map m = map(a.x, candidate, c);
  long long groups = a.samples / rso_gpu_quad, all = groups * a.area;
  const Numbers x = numbers(a.x, a.turn, candidate) + (long long)c * a.area * a.samples;
  long long first = (long long)chunk * (rso_gpu_chunk / rso_gpu_quad);
  long long end = first + rso_gpu_chunk / rso_gpu_quad;
  if (end > all)
    end = all;
  RSO_THREADS {
    double sum = 0, square = 0;
    for (long long group = first + threadIdx.x; group < end; group += rso_gpu_threads) {
      int n = (int)(group % groups) * rso_gpu_quad;
      Quad v = load(m, x + group * rso_gpu_quad);
      for (int k = 0; k < rso_gpu_quad; ++k)
        if (n + k < a.count) {
          sum += v.v[k];
          square += (double)v.v[k] * v.v[k];
        }
    }
    sums[0][threadIdx.x] = sum;
    sums[1][threadIdx.x] = square;
  }
  addUp(sums, 2);
  if (threadIdx.x == 0) {
    double *partial = a.partial + (((long long)candidate * a.channels + c) * a.chunks + chunk) * 2;
    partial[0] = sums[0][0];
    partial[1] = sums[1][0];
  }
}

// A block computes one channel of one candidate. Grid: x channels, y candidates.
RSO_KERNEL void __launch_bounds__(rso_gpu_threads) settle(rso_gpu_settle a) {
  awaitEarlier();
  __shared__ double sums[2][rso_gpu_threads];
  int c = blockIdx.x, candidate = blockIdx.y;
  double mean, variance;
  if (a.chunks) {
    int from = a.partial_candidates > 1 ? candidate : 0;
    const double *partial = a.partial + ((long long)from * a.channels + c) * a.chunks * 2;
    RSO_THREADS {
      sums[0][threadIdx.x] = branch(partial, 2, a.chunks, threadIdx.x, rso_gpu_threads);
      sums[1][threadIdx.x] = branch(partial + 1, 2, a.chunks, threadIdx.x, rso_gpu_threads);
    }
    addUp(sums, 2);
    mean = sums[0][0] / a.values;
    variance = sums[1][0] / a.values - mean * mean;
    // Rounding can make a variance of zero negative; NaN stays NaN.
    if (variance < 0)
      variance = 0;
  } else {
    mean = a.mean[c];
    variance = a.variance[c];
  }
  if (threadIdx.x != 0)
    return;
  if (a.chunks && a.mean && candidate == 0) {
    a.mean[c] = mean;
    a.variance[c] = variance;
  }
  int index = a.width * a.turn->channel + c;
  float gamma = a.gamma[index], beta = a.beta[index];
  if (a.swept) {
    const rso_gpu_turn &own = a.turn[candidate / a.each];
    if (c == own.row)
      (a.swept == 1 ? gamma : beta) = own.candidates[candidate % a.each];
  }
  double factor = gamma / sqrt(variance + a.epsilon);
  a.scale[candidate * a.channels + c] = (float)factor;
#ifdef RSO_CARD
  // Not fused, as on the CPU.
  a.offset[candidate * a.channels + c] = (float)(beta - __dmul_rn(mean, factor));
#else
  a.offset[candidate * a.channels + c] = (float)(beta - mean * factor);
#endif
}

RSO_KERNEL void add(rso_gpu_add a) {
  awaitEarlier();
  int n = sample(), p = place();
  if (n >= a.samples || p >= a.area)
    return;
  int candidate = blockIdx.z / a.channels, c = blockIdx.z % a.channels;
  long long at = ((long long)c * a.area + p) * a.samples + n;
  Quad x = load(map(a.a, candidate, c), numbers(a.a, a.turn, candidate) + at);
  Quad y = load(map(a.b, candidate, c), numbers(a.b, a.turn, candidate) + at);
  for (int k = 0; k < rso_gpu_quad; ++k)
    y.v[k] += x.v[k];
  writing(a.y, a.turn, candidate, [&](auto to) { store(to + at, y); });
}

// Grid: x samples, y places, z candidates and channels to copy.
RSO_KERNEL void copy(rso_gpu_copy a) {
  awaitEarlier();
  int n = sample(), p = place();
  if (n >= a.samples || p >= a.area)
    return;
  int candidate = blockIdx.z / a.channels, c = blockIdx.z % a.channels;
  int from = c, to = c;
  if (a.from)
    from = a.from[a.turn->first_unit + c / a.width].channel * a.width + c % a.width;
  if (a.to) {
    rso_gpu_unit unit = a.to[a.turn->first_unit + c / a.width];
    if (!(unit.sign > 0))
      return;
    to = unit.channel * a.width + c % a.width;
  }
  if (a.to_lone)
    to = a.turn->channel * a.width + c;
  Map m = map(a.x, candidate, from);
  const rso_activation activation = m.activation;
  m.activation.function = rso_identity;
  Quad v = load(m, numbers(a.x, a.turn, candidate) + (((long long)from * a.area + p) * a.samples + n));
  for (int k = 0; k < rso_gpu_quad; ++k)
    v.v[k] = activateAny(activation, v.v[k]);
  writing(a.y, a.turn, candidate, [&](auto y) { store(y + (((long long)to * a.area + p) * a.samples + n), v); });
}

// One sample per thread. Grid: x samples, y places, z channels.
RSO_KERNEL void load_images(rso_gpu_load a) {
  awaitEarlier();
  int n = blockIdx.x * blockDim.x + threadIdx.x, p = place(), c = blockIdx.z;
  if (n >= a.samples || p >= a.area)
    return;
  float value = 0;
  if (n < a.count) {
    long long image = a.order[a.turn->first + n];
    long long at = (image * a.channels + c) * a.area + p;
    value = a.bytes ? a.table[c * 256 + a.bytes[at]]
                    : (float)(((double)a.floats[at] - a.mean[c]) / (double)a.deviation[c]);
  }
  data(a.y, a.turn, 0)[((long long)c * a.area + p) * a.samples + n] = value;
}

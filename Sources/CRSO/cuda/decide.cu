// The loss and the decision.

// Takes the values of the turn that is on, if there is one left. All threads of a block must call.
static __device__ void begin(const rso_gpu_choose &a) {
  const int number = a.progress->turn;
  if (number >= a.progress->count)
    return;
  const rso_gpu_turn *next = a.turns + number;
  // Word by word, all at once.
  RSO_THREADS {
    for (int i = threadIdx.x; i < (int)(sizeof *next / sizeof(int)); i += blockDim.x)
      ((int *)a.turn)[i] = ((const int *)next)[i];
  }
  __syncthreads();
  RSO_THREADS {
    if (threadIdx.x < rso_gpu_candidates)
      a.turn->delta[threadIdx.x] =
          next->candidates[threadIdx.x] - ((const volatile float *)a.parameters)[next->element];
  }
}

// Goes to the first turn; the host has set the progress. One block, of a warp.
RSO_KERNEL void start(rso_gpu_choose a) { begin(a); }

// The last block of all to come here adds up what they left, in a fixed order, and decides.
static __device__ void decide(const rso_gpu_choose &a, double *sums) {
  enum { each = rso_gpu_loss_threads / rso_gpu_candidates };
  __shared__ int isLast;
  RSO_THREADS {
    if (threadIdx.x == 0) {
      __threadfence();
      isLast = atomicAdd(&a.progress->blocks, 1) == a.results * a.blocks - 1;
      if (isLast)
        a.progress->blocks = 0;
    }
  }
  __syncthreads();
  if (!isLast)
    return;
  __threadfence();
  RSO_THREADS {
    int result = threadIdx.x / each;
    double sum = 0;
    if (result < a.results)
      for (int block = threadIdx.x % each; block < a.blocks; block += each)
        sum += ((const volatile double *)a.partial)[result * a.blocks + block];
    sums[threadIdx.x] = sum;
  }
  __syncthreads();
  // One thread, as Decision(losses:parameter:element:) in Swift.
  rso_gpu_progress *progress = a.progress;
  if (threadIdx.x == 0 && !progress->failed && progress->turn < progress->count) {
    double *losses = a.losses + (long long)progress->turn * rso_gpu_candidates;
    double least = 0;
    int choice = 0;
    for (int result = 0; result < a.results; ++result) {
      double loss = 0;
      for (int k = 0; k < each; ++k)
        loss += sums[result * each + k];
      losses[result] = loss;
      // A kept value's NaN is less than nothing.
      if (result == 0 || loss < least) {
        least = loss;
        choice = result;
      }
    }
    if (losses[0] != losses[0]) {
      progress->failed = 1;
    } else {
      a.parameters[a.turn->element] = a.turn->candidates[choice];
      ++progress->turn;
    }
  }
  __syncthreads();
  if (!((const volatile rso_gpu_progress *)progress)->failed)
    begin(a);
}

// A sample's loss and class, of logits that `logit` gives by class. LIMIT: of the classes, if they lie in registers.
template <int LIMIT, typename Logit>
static __device__ double crossEntropy(const rso_gpu_loss &a, int n, bool isFirst, Logit logit) {
  const int classes = LIMIT ? LIMIT : a.classes;
  const int label = a.labels[a.order[a.turn->first + n]];
  double largest = -RSO_INFINITY, expected = 0, sum = 0;
  float highest = 0;
  int best = 0;
#pragma unroll
  for (int c = 0; c < classes; ++c)
    if (c < a.classes) {
      float l = logit(c);
      // NaN is larger than nothing, but comes out of the sum.
      if (l > largest)
        largest = l;
      if (c == 0 || l > highest) {
        best = c;
        highest = l;
      }
      if (c == label)
        expected = l;
    }
#pragma unroll
  for (int c = 0; c < classes; ++c)
    if (c < a.classes)
      sum += exp(logit(c) - largest);
  if (a.predicted && isFirst)
    a.predicted[n] = best;
  return largest + log(sum) - expected;
}

// A thread: one sample. Grid: x blocks of samples, y results. LINEAR: the logits are made here.
template <bool LINEAR> static __device__ void loss(const rso_gpu_loss &a) {
  __shared__ double sums[rso_gpu_loss_threads];
  int result = blockIdx.y;
  RSO_THREADS {
    int n = blockIdx.x * rso_gpu_loss_threads + threadIdx.x;
    double loss = 0;
    if (n < a.count) {
      const float *x = data(a.x, a.turn, result) + n;
      if (LINEAR) {
        float logits[rso_gpu_classes];
#pragma unroll
        for (int c = 0; c < rso_gpu_classes; ++c)
          logits[c] = a.bias && c < a.classes ? a.bias[c] : 0;
        // Many loads on their way at once.
        enum { many = 16 };
        for (int begin = 0; begin < a.inputs; begin += many) {
          float v[many];
#pragma unroll
          for (int i = 0; i < many; ++i)
            v[i] = begin + i < a.inputs ? x[(long long)(begin + i) * a.samples] : 0;
#pragma unroll
          for (int i = 0; i < many; ++i)
            if (begin + i < a.inputs) {
              float u = apply(map(a.x, result, begin + i), v[i]);
              const float *weights = a.weights + (long long)(begin + i) * a.padded_outputs;
#pragma unroll
              for (int c = 0; c < rso_gpu_classes; c += 4)
                if (c < a.padded_outputs) {
                  Lanes four = load(weights + c);
#pragma unroll
                  for (int j = 0; j < 4; ++j)
                    logits[c + j] += four.v[j] * u;
                }
            }
        }
        loss = crossEntropy<rso_gpu_classes>(a, n, result == 0, [&](int c) { return logits[c]; });
      } else {
        loss = crossEntropy<0>(a, n, result == 0, [&](int c) {
          return apply(map(a.x, result, c), x[(long long)c * a.samples]);
        });
      }
    }
    sums[threadIdx.x] = loss;
  }
  addUp(sums, rso_gpu_loss_threads);
  if (threadIdx.x == 0)
    a.partial[result * a.blocks + blockIdx.x] = sums[0];
  if (a.decides)
    decide(a.decide, sums);
}

RSO_KERNEL void __launch_bounds__(rso_gpu_loss_threads) cross_entropy(rso_gpu_loss a) {
  loss<false>(a);
}

// Of a linear layer.
RSO_KERNEL void __launch_bounds__(rso_gpu_loss_threads) classify(rso_gpu_loss a) { loss<true>(a); }

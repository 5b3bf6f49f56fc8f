// Any losses of samples, by the CPU's formulas, and the outputs for losses of whole mini-batches.

#define V float
#define VI int
#define NAME(f) scalar_##f
static __device__ float scalar_all(float f) { return f; }
static __device__ int scalar_same(int i) { return i; }
static __device__ float scalar_select(int mask, float a, float b) { return mask ? a : b; }
static __device__ int scalar_pick(int mask, int a, int b) { return mask ? a : b; }
static __device__ float scalar_max(float a, float b) { return a > b ? a : b; }
static __device__ float scalar_magnitude(float x) { return scalar_max(x, -x); }
static __device__ float scalar_exp(float x) { return expf(x); }
static __device__ float scalar_log(float x) { return logf(x); }

// logit(c): the sample's outputs; targets: [channels], or anything for losses of classes.
template <class Logit>
static __device__ float lossOfSample(const rso_gpu_term *loss, const Logit &logit, int channels, int labels,
                                     const float *targets) {
#define LOGIT(c) logit(c)
#define TARGET(c) targets[c]
#include "../losses.inc"
#undef LOGIT
#undef TARGET
}

#undef V
#undef VI
#undef NAME

// The same as `loss`, for any terms.
template <bool LINEAR> static __device__ void anyLosses(const rso_gpu_loss &a) {
  __shared__ LossTable logits;
  __shared__ double sums[rso_gpu_loss_samples];
  const int candidate = blockIdx.y, first = blockIdx.x * rso_gpu_loss_samples;
  const int count = a.count - first < rso_gpu_loss_samples ? a.count - first : rso_gpu_loss_samples;
  if (LINEAR)
    classes(a, logits);
  auto logit = [&](int c, int s) {
    return LINEAR ? logits[c][s]
                  : apply(map(a.x, candidate, c),
                          number(numbers(a.x, a.turn, candidate) + ((long long)c * a.samples + first + s)));
  };
  if (a.outputs) {
    RSO_THREADS {
      const int k = threadIdx.x / rso_gpu_loss_samples, s = threadIdx.x % rso_gpu_loss_samples;
      if (s < count)
        for (int c = k; c < a.classes; c += loss_threads)
          a.outputs[((long long)candidate * a.count + first + s) * a.classes + c] = logit(c, s);
    }
  }
  RSO_THREADS {
    const int s = threadIdx.x;
    if (s < count) {
      const long long sample = a.order[a.turn->first + first + s];
      double sum = 0;
      for (int i = 0; i < a.terms; ++i)
        sum += a.term[i].weight * (double)lossOfSample(
                                      a.term + i, [&](int c) { return logit(c, s); }, a.classes, a.labels[sample],
                                      a.targets + sample * a.classes);
      sums[s] = sum;
    }
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    double sum = 0;
    for (int s = 0; s < count; ++s)
      sum += sums[s];
    a.partial[candidate * a.blocks + blockIdx.x] = a.factor * sum;
  }
  if (a.decides)
    decide(a.decide);
}

RSO_KERNEL void __launch_bounds__(rso_gpu_threads) sample_losses(rso_gpu_loss a) {
  awaitEarlier();
  anyLosses<false>(a);
}

// Also computes the linear layer before the losses.
RSO_KERNEL void __launch_bounds__(rso_gpu_threads) classify_losses(rso_gpu_loss a) {
  awaitEarlier();
  anyLosses<true>(a);
}

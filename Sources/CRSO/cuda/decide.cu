// The loss and the decision.

// Loads the turns of the next group, if one is left. All threads of a block must call.
static __device__ void begin(const rso_gpu_choose &a) {
  if (a.progress->judged >= a.progress->count)
    return;
  const int *members = a.queue + a.progress->judged;
  const int group = a.turns[members[0]].group;
  // Word by word, spread over the threads.
  RSO_THREADS {
    enum { words = sizeof(rso_gpu_turn) / sizeof(int) };
    for (int i = threadIdx.x; i < group * words; i += blockDim.x)
      ((int *)a.turn)[i] = ((const int *)(a.turns + members[i / words]))[i % words];
  }
  __syncthreads();
  RSO_THREADS {
    for (int i = threadIdx.x; i < group * rso_gpu_candidates; i += blockDim.x) {
      const rso_gpu_turn *next = a.turns + members[i / rso_gpu_candidates];
      const int own = i % rso_gpu_candidates, from = own + next->from;
      if (from < rso_gpu_candidates) {
        rso_gpu_turn *turn = a.turn + i / rso_gpu_candidates;
        turn->candidates[own] = next->candidates[from];
        turn->delta[own] = next->candidates[from] - ((const volatile float *)a.parameters)[next->element];
      }
    }
  }
}

// Goes to the first group; the host has set the progress. One block of one warp.
RSO_KERNEL void start(rso_gpu_choose a) {
  awaitEarlier();
  begin(a);
}

// Takes the value decided on a turn, in one thread. Returns the number of the round's other decisions to apply.
static __device__ int finish(const rso_gpu_choose &a, const rso_gpu_turn *turn, float value) {
  const rso_gpu_pending decided = {turn->element, value};
  int waiting = 0;
  if (turn->applies) {
    a.parameters[decided.element] = decided.value;
    waiting = turn->applies - 1;
  } else {
    a.pending[turn->place] = decided;
  }
  ++a.progress->decided;
  return waiting;
}

// Applies the round's other decisions and goes to the next group. All threads of the block must call.
static __device__ void goOn(const rso_gpu_choose &a, int waiting) {
  // The next elements are in none of them.
  RSO_THREADS {
    for (int i = threadIdx.x; i < waiting; i += blockDim.x)
      a.parameters[a.pending[i].element] = a.pending[i].value;
  }
  __syncthreads();
  begin(a);
}

// Keeps the losses of a turn of the group, `stride` apart, until it is decided. One thread.
static __device__ void keepLosses(const rso_gpu_choose &a, int own, const double *losses, int stride) {
  rso_gpu_outcome *outcome = a.outcomes + a.queue[a.progress->judged + own];
  for (int candidate = 0; candidate < a.candidates; ++candidate)
    outcome->losses[a.turn->from + candidate] = losses[candidate * stride];
}

// Ends a group: decides the turns that wait for it, in their order. All threads of the block must call.
static __device__ void decideNext(const rso_gpu_choose &a) {
  __shared__ int waiting;
  rso_gpu_progress *progress = a.progress;
  RSO_THREADS {
    if (threadIdx.x == 0) {
      waiting = 0;
      // All turns have as many candidates, computed or not.
      const int count = a.turn->from + a.candidates;
      for (int left = a.turn->decides; left > 0 && !progress->failed; --left) {
        rso_gpu_outcome *outcome = a.outcomes + progress->decided;
        const rso_gpu_turn *turn = a.turns + progress->decided;
        double own[rso_gpu_candidates];
        // NaN: not computed.
        own[0] = turn->is_known ? progress->last_loss : RSO_INFINITY - RSO_INFINITY;
        for (int candidate = turn->from; candidate < count; ++candidate)
          own[candidate] = ((const volatile double *)outcome->losses)[candidate];
        const rso_decision decision =
            rso_decide(&progress->rule, &progress->state, turn->candidates, turn->step, own, count, 0);
        for (int candidate = 0; candidate < count; ++candidate)
          outcome->losses[candidate] = own[candidate];
        progress->last_loss = own[decision.choice];
        outcome->state = progress->state;
        outcome->value = decision.value;
        outcome->choice = decision.choice;
        if (own[0] != own[0] && (turn->from == 0 || turn->is_known))
          progress->failed = 1;
        else
          waiting = finish(a, turn, decision.value);
      }
      progress->judged += a.group;
    }
  }
  __syncthreads();
  goOn(a, waiting);
}

// The last of a turn's blocks to arrive adds up its partial losses; the last of the group's turns ends the group.
static __device__ void decide(const rso_gpu_choose &a) {
  enum { each = rso_gpu_threads / rso_gpu_candidates };
  __shared__ double sums[rso_gpu_candidates][each];
  __shared__ int isLast;
  const int own = blockIdx.y / a.candidates;
  // Whether this is the last of so many; then they are counted anew.
  auto arrive = [&](int *counter, int all) {
    if (threadIdx.x == 0) {
      __threadfence();
      isLast = atomicAdd(counter, 1) == all - 1;
      if (isLast)
        *counter = 0;
    }
  };
  RSO_THREADS { arrive(&a.progress->blocks[own], a.candidates * a.blocks); }
  __syncthreads();
  if (!isLast)
    return;
  __threadfence();
  RSO_THREADS {
    int candidate = threadIdx.x / each;
    if (candidate < a.candidates)
      sums[candidate][threadIdx.x % each] =
          branch(a.partial + (own * a.candidates + candidate) * a.blocks, 1, a.blocks, threadIdx.x % each, each);
  }
  __syncthreads();
  RSO_THREADS {
    int candidate = threadIdx.x;
    if (candidate < a.candidates)
      sums[candidate][0] = Tree<each, 1>::sum(sums[candidate]);
  }
  __syncthreads();
  RSO_THREADS {
    if (threadIdx.x == 0)
      keepLosses(a, own, sums[0], each);
    arrive(&a.progress->summed, a.group);
  }
  __syncthreads();
  if (!isLast)
    return;
  __threadfence();
  decideNext(a);
}

// Ends a turn, which is a group, by the host's losses. One block.
RSO_KERNEL void __launch_bounds__(rso_gpu_threads) decide_given(rso_gpu_given a) {
  awaitEarlier();
  RSO_THREADS {
    if (threadIdx.x == 0)
      keepLosses(a.choose, 0, a.losses, 1);
  }
  __syncthreads();
  decideNext(a.choose);
}

// Takes the turn's first candidate, which an earlier sweep decided on. One block.
RSO_KERNEL void __launch_bounds__(rso_gpu_threads) take(rso_gpu_choose a) {
  awaitEarlier();
  __shared__ int waiting;
  RSO_THREADS {
    if (threadIdx.x == 0) {
      waiting = finish(a, a.turn, a.turn->candidates[0]);
      ++a.progress->judged;
    }
  }
  __syncthreads();
  goOn(a, waiting);
}

// A block has loss_threads threads per sample. A thread takes every loss_threads-th input or class of its sample.
enum { loss_threads = rso_gpu_threads / rso_gpu_loss_samples };
typedef float LossTable[loss_threads][rso_gpu_loss_samples + 1];
static_assert(loss_threads == rso_gpu_classes, "a thread has one class of a linear layer");

// A linear layer's logits by class and sample. Its inputs are means or maxima of images, or single numbers.
static __device__ void classes(const rso_gpu_loss &a, LossTable &logits) {
  __shared__ LossTable inputs;
  const int candidate = blockIdx.y, first = blockIdx.x * rso_gpu_loss_samples;
  float kept[RSO_KEPT(rso_gpu_threads)];
  RSO_THREADS {
    int c = threadIdx.x / rso_gpu_loss_samples;
    kept[RSO_SELF] = a.bias && c < a.classes ? a.bias[c] : 0;
  }
  for (int begin = 0; begin < a.inputs; begin += loss_threads) {
    __syncthreads();
    RSO_THREADS {
      const int k = threadIdx.x / rso_gpu_loss_samples, s = threadIdx.x % rso_gpu_loss_samples;
      if (begin + k < a.inputs && first + s < a.count) {
        const Numbers x =
            numbers(a.x, a.turn, candidate) + ((long long)(begin + k) * a.area * a.samples + first + s);
        float y = poolPlaces(map(a.x, candidate, begin + k), x, a.area, 1, a.samples, a.maximum);
        inputs[k][s] = a.maximum ? y : y / a.area;
      }
    }
    __syncthreads();
    RSO_THREADS {
      const int c = threadIdx.x / rso_gpu_loss_samples, s = threadIdx.x % rso_gpu_loss_samples;
      if (c < a.classes)
#pragma unroll
        for (int k = 0; k < loss_threads; ++k)
          if (begin + k < a.inputs)
            kept[RSO_SELF] += a.weights[(long long)(begin + k) * a.padded_outputs + c] * inputs[k][s];
    }
  }
  RSO_THREADS {
    logits[threadIdx.x / rso_gpu_loss_samples][threadIdx.x % rso_gpu_loss_samples] = kept[RSO_SELF];
  }
  __syncthreads();
}

// Sums of softmax cross entropies. Grid: x blocks of samples, y candidates. LINEAR: computes the logits, too.
template <bool LINEAR> static __device__ void loss(const rso_gpu_loss &a) {
  __shared__ LossTable logits, largest;
  __shared__ double sums[loss_threads][rso_gpu_loss_samples + 1];
  __shared__ int labels[rso_gpu_loss_samples];
  const int candidate = blockIdx.y, first = blockIdx.x * rso_gpu_loss_samples;
  const int count = a.count - first < rso_gpu_loss_samples ? a.count - first : rso_gpu_loss_samples;
  RSO_THREADS {
    if (threadIdx.x < count)
      labels[threadIdx.x] = a.labels[a.order[a.turn->first + first + threadIdx.x]];
  }
  if (LINEAR)
    classes(a, logits);
  auto logit = [&](int c, int s) {
    return LINEAR ? logits[c][s]
                  : apply(map(a.x, candidate, c),
                          number(numbers(a.x, a.turn, candidate) + ((long long)c * a.samples + first + s)));
  };
  RSO_THREADS {
    const int k = threadIdx.x / rso_gpu_loss_samples, s = threadIdx.x % rso_gpu_loss_samples;
    float most = -RSO_INFINITY;
    if (s < count)
      for (int c = k; c < a.classes; c += loss_threads) {
        float l = logit(c, s);
        // Comparisons with NaN are false, but NaN comes out of the sum.
        if (l > most)
          most = l;
      }
    largest[k][s] = most;
  }
  __syncthreads();
  auto largestOf = [&](int s) {
    float l = largest[0][s];
#pragma unroll
    for (int k = 1; k < loss_threads; ++k)
      l = largest[k][s] > l ? largest[k][s] : l;
    return (double)l;
  };
  RSO_THREADS {
    const int k = threadIdx.x / rso_gpu_loss_samples, s = threadIdx.x % rso_gpu_loss_samples;
    double sum = 0;
    if (s < count) {
      const double most = largestOf(s);
      for (int c = k; c < a.classes; c += loss_threads)
        sum += exp(logit(c, s) - most);
    }
    sums[k][s] = sum;
  }
  __syncthreads();
  RSO_THREADS {
    const int s = threadIdx.x;
    if (s < count) {
      double sum = 0;
#pragma unroll
      for (int k = 0; k < loss_threads; ++k)
        sum += sums[k][s];
      sums[0][s] = largestOf(s) + log(sum) - logit(labels[s], s);
      if (a.predicted && candidate == 0) {
        int best = 0;
        for (int c = 1; c < a.classes; ++c)
          if (logit(c, s) > logit(best, s))
            best = c;
        a.predicted[first + s] = best;
      }
    }
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    double sum = 0;
    for (int s = 0; s < count; ++s)
      sum += sums[0][s];
    a.partial[candidate * a.blocks + blockIdx.x] = sum;
  }
  if (a.decides)
    decide(a.decide);
}

RSO_KERNEL void __launch_bounds__(rso_gpu_threads) cross_entropy(rso_gpu_loss a) {
  awaitEarlier();
  loss<false>(a);
}

// Also computes the linear layer before the loss.
RSO_KERNEL void __launch_bounds__(rso_gpu_threads) classify(rso_gpu_loss a) {
  awaitEarlier();
  loss<true>(a);
}

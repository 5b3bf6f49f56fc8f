// The loss and the decision.

// A thread: one sample. Grid: x blocks of samples, y results.
RSO_KERNEL void __launch_bounds__(rso_gpu_threads) cross_entropy(rso_gpu_loss a) {
  __shared__ double sums[rso_gpu_threads];
  int result = blockIdx.y;
  RSO_THREADS {
    int n = blockIdx.x * rso_gpu_threads + threadIdx.x;
    double loss = 0;
    if (n < a.count) {
      const float *x = data(a.x, a.turn, result) + n;
      double largest = -RSO_INFINITY;
      float highest = 0;
      int best = 0;
      for (int c = 0; c < a.classes; ++c) {
        float logit = apply(map(a.x, result, c), x[(long long)c * a.samples]);
        // NaN is larger than nothing, but comes out of the sum.
        if (logit > largest)
          largest = logit;
        if (c == 0 || logit > highest) {
          best = c;
          highest = logit;
        }
      }
      double sum = 0;
      for (int c = 0; c < a.classes; ++c)
        sum += exp(apply(map(a.x, result, c), x[(long long)c * a.samples]) - largest);
      int label = a.labels[a.order[a.turn->first + n]];
      loss =
          largest + log(sum) - apply(map(a.x, result, label), x[(long long)label * a.samples]);
      if (a.predicted && result == 0)
        a.predicted[n] = best;
    }
    sums[threadIdx.x] = loss;
  }
  addUp(sums);
  if (threadIdx.x == 0)
    a.partial[result * a.blocks + blockIdx.x] = sums[0];
}

// One thread. As Decision(losses:parameter:element:) in Swift.
RSO_KERNEL void choose(rso_gpu_choose a) {
  rso_gpu_progress *progress = a.progress;
  if (a.begin) {
    progress->turn = 0;
  } else {
    if (progress->failed || progress->turn >= progress->count)
      return;
    double *losses = a.losses + (long long)progress->turn * rso_gpu_candidates;
    int choice = 0;
    for (int result = 0; result < a.results; ++result) {
      double sum = 0;
      for (int block = 0; block < a.blocks; ++block)
        sum += a.partial[result * a.blocks + block];
      losses[result] = sum;
      if (result && sum < losses[choice])
        choice = result;
    }
    if (losses[0] != losses[0]) {
      progress->failed = 1;
      return;
    }
    a.parameters[a.turn->element] = a.turn->candidates[choice];
    ++progress->turn;
  }
  if (progress->turn >= progress->count)
    return;
  *a.turn = a.turns[progress->turn];
  for (int result = 0; result < rso_gpu_candidates; ++result)
    a.turn->delta[result] = a.turn->candidates[result] - a.parameters[a.turn->element];
}

// Measures how fast memory is read and written, which limits a computation that streams more than the caches hold.
#include "crso.h"

// Several sums, so that additions do not wait for one another. With integers, compilers may use vectors; even 128-bit
// vectors are faster than any memory.
uint64_t rso_stream_read(const uint64_t *x, int64_t count) {
  uint64_t sum[8] = {0};
  for (int64_t i = 0; i + 8 <= count; i += 8)
    for (int j = 0; j < 8; j++) sum[j] += x[i + j];
  uint64_t total = 0;
  for (int j = 0; j < 8; j++) total += sum[j];
  return total;
}

// The inversion keeps compilers from calling memcpy, whose stores bypass the caches. The kernels' stores do not.
void rso_stream_copy(const uint64_t *restrict x, uint64_t *restrict y, int64_t count) {
  for (int64_t i = 0; i < count; i++) y[i] = ~x[i];
}

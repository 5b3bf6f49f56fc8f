// What a card's tensor cores do at most, by loops of nothing but independent instructions, with one to four blocks of four warps
// on a multiprocessor:
//
// - `mma.sync` in TF32, in steps of eight and of four inputs, which `matrix` uses, and in fp16, in steps of sixteen (`half.cu`);
// - `wgmma` in fp16, with 64 samples as rows, from registers, and 16, 32 or 64 outputs as columns, from shared memory. The
//   paper's networks have 16 and 32 channels, so this says whether `wgmma` would pay before anybody writes it.
//
//     nvcc -arch=sm_90a -o tensor_cores tensor_cores.cu && ./tensor_cores
#ifndef __CUDACC_RTC__
#include <cstdio>
#endif

enum { sums = 14, rounds = 2000, threads = 128 };

// C[16 × 8] += A[16 × INPUTS] B[INPUTS × 8].
template <int INPUTS> static __device__ void multiply(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  if constexpr (INPUTS == 16)
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  else if constexpr (INPUTS == 8)
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  else
    asm volatile("mma.sync.aligned.m16n8k4.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(b[0]));
}

template <int INPUTS> __global__ void warps(float *out) {
  float c[sums][4];
  for (int i = 0; i < sums; ++i)
    for (int e = 0; e < 4; ++e)
      c[i][e] = threadIdx.x;
  const unsigned a[4] = {threadIdx.x, threadIdx.x + 1, threadIdx.x + 2, threadIdx.x + 3};
  const unsigned b[2] = {threadIdx.x + 5, threadIdx.x + 7};
  for (int round = 0; round < rounds; ++round) {
#pragma unroll
    for (int i = 0; i < sums; ++i)
      multiply<INPUTS>(c[i], a, b);
  }
  float sum = 0;
  for (int i = 0; i < sums; ++i)
    for (int e = 0; e < 4; ++e)
      sum += c[i][e];
  out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
// C[64 × 16] += A[64 × 16] B[16 × 16], a thread's eight numbers of C.
#define FOUR(c, n) "+f"(c[n]), "+f"(c[n + 1]), "+f"(c[n + 2]), "+f"(c[n + 3])
#define EIGHT(c, n) FOUR(c, n), FOUR(c, n + 4)
#define FACTORS "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b)

template <int OUTPUTS> static __device__ void multiply(float (&c)[OUTPUTS / 2], const unsigned (&a)[4], unsigned long long b) {
  if constexpr (OUTPUTS == 16)
    asm volatile("wgmma.mma_async.sync.aligned.m64n16k16.f32.f16.f16 {%0,%1,%2,%3,%4,%5,%6,%7}, "
                 "{%8,%9,%10,%11}, %12, 1, 1, 1, 0;"
                 : EIGHT(c, 0)
                 : FACTORS);
  else if constexpr (OUTPUTS == 32)
    asm volatile("wgmma.mma_async.sync.aligned.m64n32k16.f32.f16.f16 {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15}, "
                 "{%16,%17,%18,%19}, %20, 1, 1, 1, 0;"
                 : EIGHT(c, 0), EIGHT(c, 8)
                 : FACTORS);
  else
    asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"
                 "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31}, {%32,%33,%34,%35}, %36, 1, 1, 1, 0;"
                 : EIGHT(c, 0), EIGHT(c, 8), EIGHT(c, 16), EIGHT(c, 24)
                 : FACTORS);
}
#endif

// Independent matrices of 64 samples: as many as fit the registers.
template <int OUTPUTS> constexpr int matrices = sums * 16 / OUTPUTS;

template <int OUTPUTS> __global__ void groups(float *out) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  constexpr int count = matrices<OUTPUTS>;
  __shared__ alignas(128) unsigned weights[OUTPUTS * 8];
  for (int i = threadIdx.x; i < OUTPUTS * 8; i += threads)
    weights[i] = 0;
  __syncthreads();
  asm volatile("fence.proxy.async;" ::: "memory");
  // Without swizzling: pieces of 8 × 8 halves are 128 bytes apart along the inputs, and 256 along the outputs.
  const unsigned address = (unsigned)__cvta_generic_to_shared(weights);
  const unsigned long long b = (address & 0x3FFFF) >> 4 | 128ull >> 4 << 16 | 256ull >> 4 << 32;
  const unsigned a[4] = {threadIdx.x, threadIdx.x + 1, threadIdx.x + 2, threadIdx.x + 3};
  float c[count][OUTPUTS / 2];
  for (int i = 0; i < count; ++i)
    for (int e = 0; e < OUTPUTS / 2; ++e)
      c[i][e] = threadIdx.x;
  for (int round = 0; round < rounds; ++round) {
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#pragma unroll
    for (int i = 0; i < count; ++i)
      multiply<OUTPUTS>(c[i], a, b);
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
    asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
  }
  float sum = 0;
  for (int i = 0; i < count; ++i)
    for (int e = 0; e < OUTPUTS / 2; ++e)
      sum += c[i][e];
  out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
#endif
}

#ifndef __CUDACC_RTC__
// Multiply-adds of a block of four warps.
static void measure(const char *name, void (*kernel)(float *), double multiplyAdds, float *out, int multiprocessors) {
  printf("%-28s", name);
  for (int each = 1; each <= 4; ++each) {
    cudaEvent_t begin, end;
    cudaEventCreate(&begin);
    cudaEventCreate(&end);
    kernel<<<each * multiprocessors, threads>>>(out);
    cudaEventRecord(begin);
    kernel<<<each * multiprocessors, threads>>>(out);
    cudaEventRecord(end);
    float ms = 0;
    if (cudaEventSynchronize(end) != cudaSuccess || cudaEventElapsedTime(&ms, begin, end) != cudaSuccess) {
      printf("  %s", cudaGetErrorString(cudaGetLastError()));
      break;
    }
    printf("%8.1f", 2 * multiplyAdds * each * multiprocessors / ms / 1e9);
  }
  printf("\n");
}

template <int INPUTS> static void measureWarps(const char *name, float *out, int multiprocessors) {
  measure(name, warps<INPUTS>, 16.0 * 8 * INPUTS * sums * rounds * (threads / 32), out, multiprocessors);
}
template <int OUTPUTS> static void measureGroups(const char *name, float *out, int multiprocessors) {
  measure(name, groups<OUTPUTS>, 64.0 * OUTPUTS * 16 * matrices<OUTPUTS> * rounds, out, multiprocessors);
}

int main() {
  cudaDeviceProp card;
  if (cudaGetDeviceProperties(&card, 0) != cudaSuccess) {
    fprintf(stderr, "tensor_cores: no card\n");
    return 1;
  }
  const int multiprocessors = card.multiProcessorCount;
  float *out;
  cudaMalloc(&out, sizeof(float) * threads * 4 * multiprocessors);
  printf("%s; TFLOP/s with 1 to 4 blocks on a multiprocessor\n", card.name);
  measureWarps<8>("mma.sync TF32, 8 inputs", out, multiprocessors);
  measureWarps<4>("mma.sync TF32, 4 inputs", out, multiprocessors);
  measureWarps<16>("mma.sync fp16, 16 inputs", out, multiprocessors);
  if (card.major != 9)
    return 0;
  measureGroups<16>("wgmma fp16, 16 outputs", out, multiprocessors);
  measureGroups<32>("wgmma fp16, 32 outputs", out, multiprocessors);
  measureGroups<64>("wgmma fp16, 64 outputs", out, multiprocessors);
}
#endif

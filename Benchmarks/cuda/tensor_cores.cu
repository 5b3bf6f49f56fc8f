// What a card's tensor cores do at most with the instructions that `matrix` uses, TF32 by `mma.sync`: a loop of nothing but
// independent ones, in steps of eight and of four inputs, with one to four blocks of four warps on a multiprocessor.
//
//     nvcc -arch=sm_90 -o tensor_cores tensor_cores.cu && ./tensor_cores
#include <cstdio>

enum { sums = 14, rounds = 2000, threads = 128 };

template <int INPUTS> __global__ void multiply(float *out) {
  float c[sums][4];
  for (int i = 0; i < sums; ++i)
    for (int e = 0; e < 4; ++e)
      c[i][e] = threadIdx.x;
  unsigned a0 = threadIdx.x, a1 = a0 + 1, a2 = a0 + 2, a3 = a0 + 3, b0 = a0 + 5, b1 = a0 + 7;
  for (int round = 0; round < rounds; ++round) {
#pragma unroll
    for (int i = 0; i < sums; ++i)
      if (INPUTS == 8)
        asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                     : "+f"(c[i][0]), "+f"(c[i][1]), "+f"(c[i][2]), "+f"(c[i][3])
                     : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
      else
        asm volatile("mma.sync.aligned.m16n8k4.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
                     : "+f"(c[i][0]), "+f"(c[i][1]), "+f"(c[i][2]), "+f"(c[i][3])
                     : "r"(a0), "r"(a1), "r"(b0));
  }
  float sum = 0;
  for (int i = 0; i < sums; ++i)
    for (int e = 0; e < 4; ++e)
      sum += c[i][e];
  out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

template <int INPUTS> void measure(float *out, int blocks, int each) {
  cudaEvent_t begin, end;
  cudaEventCreate(&begin);
  cudaEventCreate(&end);
  multiply<INPUTS><<<blocks, threads>>>(out);
  cudaEventRecord(begin);
  multiply<INPUTS><<<blocks, threads>>>(out);
  cudaEventRecord(end);
  cudaEventSynchronize(end);
  float ms;
  cudaEventElapsedTime(&ms, begin, end);
  double operations = 2.0 * 16 * 8 * INPUTS * sums * rounds * (threads / 32) * blocks;
  printf("%d inputs, %d blocks: %.1f TFLOP/s\n", INPUTS, each, operations / ms / 1e9);
}

int main() {
  cudaDeviceProp card;
  if (cudaGetDeviceProperties(&card, 0) != cudaSuccess) {
    fprintf(stderr, "tensor_cores: no card\n");
    return 1;
  }
  float *out;
  cudaMalloc(&out, sizeof(float) * threads * 4 * card.multiProcessorCount);
  for (int each = 1; each <= 4; ++each) {
    measure<8>(out, each * card.multiProcessorCount, each);
    measure<4>(out, each * card.multiProcessorCount, each);
  }
}

// A launch with attributes as NVIDIA's driver takes it: `CUlaunchConfig` and `CUlaunchAttribute`. Building needs no header of it.
//
// Source: CUDA Driver API, https://docs.nvidia.com/cuda/cuda-driver-api/, `cuLaunchKernelEx`.
#ifndef CRSO_LAUNCH_H
#define CRSO_LAUNCH_H

#include <stdint.h>

// CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION: whether the launch may begin before the one in front of it on its
// stream has ended. Its value is an int.
enum { rso_launch_overlaps = 6 };

typedef struct {
  int32_t id, padding;
  union {
    int32_t number;
    uint64_t room[8];
  } value;
} rso_launch_attribute;

typedef struct {
  uint32_t grid[3], block[3];
  // Bytes of dynamic shared memory.
  uint32_t shared;
  void *stream;
  rso_launch_attribute *attributes;
  uint32_t attribute_count;
} rso_launch_configuration;

#endif

// Weights in the order in which kernels read them.

// The value of an element at a time. Only elements of the swept tensor change.
static __device__ float at(const float *parameters, const float *start, const int *decided,
                           long long element, int time) {
  bool before = start && decided[element] >= time;
  return before ? start[element] : parameters[element];
}

// A thread packs one weight. Grid: x all packed weights.
RSO_KERNEL void pack(rso_gpu_pack a) {
  awaitEarlier();
  long long index = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  long long rows = (long long)a.inputs * a.taps;
  if (a.row_length) {
    int within = (int)(index % a.row_length), taps = a.box ? 16 : a.taps, tap = within / 16;
    long long input = index / a.row_length % a.inputs;
    long long output = index / a.row_length / a.inputs * 16 + within % 16;
    if (index >= (long long)a.padded_outputs / 16 * a.inputs * a.row_length)
      return;
    float weight = 0;
    if (tap < taps && output < a.outputs) {
      const float *row = a.parameters + output * rows + input * a.taps;
      if (!a.box) {
        weight = row[tap];
      } else {
        for (int y = 0; y < 2; ++y)
          for (int x = 0; x < 2; ++x) {
            int ky = tap / 4 - y, kx = tap % 4 - x;
            if (ky >= 0 && ky < 3 && kx >= 0 && kx < 3)
              weight += 0.25f * row[ky * 3 + kx];
          }
      }
    }
    a.weights[index] = weight;
    return;
  }
  if (index >= rows * a.padded_outputs)
    return;
  int output = (int)(index % a.padded_outputs);
  long long row = index / a.padded_outputs;
  float weight = 0;
  if (output < a.outputs) {
    if (a.units) {
      rso_gpu_unit unit = a.units[a.turn->first_unit + output];
      weight = at(a.parameters, a.start, a.decided, unit.channel * rows + row, unit.time);
    } else {
      weight = a.parameters[output * rows + row];
    }
  }
  a.weights[index] = weight;
}

// A thread copies one number. Grid: x all of them.
RSO_KERNEL void rows(rso_gpu_rows a) {
  awaitEarlier();
  int index = blockIdx.x * blockDim.x + threadIdx.x;
  if (index >= a.count * a.width)
    return;
  rso_gpu_unit unit = a.units[a.turn->first_unit + index / a.width];
  a.rows[index] = at(a.parameters, a.start, a.decided,
                     (long long)unit.channel * a.width + index % a.width, unit.time);
}

// Numbers in memory: floats, or halves in a unit, which is a power of two.
//
// Only what a network computes above the mixing layer is kept in halves, and only where something bounds it: the unit brings
// the largest possible number to 2^15, and halves end at 65504. A number that is 2^-29 of the largest possible one, or more,
// keeps 11 bits; what is smaller is a multiple of 2^-39 of it.

struct Half {
  unsigned short bits;
};

#ifndef RSO_CARD
// The nearest half, ties to even.
static float halfOf(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  // Below 2^-14, halves are 2^-24 apart, as floats near 0.75 are.
  if ((bits & 0x7FFFFFFF) < 0x38800000)
    return copysignf((x + 0.75f) - 0.75f, x);
  if (x != x)
    return x;
  bits = (bits + 0xFFF + (bits >> 13 & 1)) & 0xFFFFE000;
  memcpy(&x, &bits, 4);
  return x > 65504 ? RSO_INFINITY : x < -65504 ? -RSO_INFINITY : x;
}

// A half's bits. A float of the same number has an exponent that is 112 more; 2^-112 brings it to a half's, also where
// that is a subnormal number.
static unsigned halfBits(float x) {
  const float half = halfOf(x), small = half * 0x1p-112f;
  uint32_t bits;
  memcpy(&bits, &small, 4);
  return (bits >> 16 & 0x8000) | (x != x ? 0x7E00 : half - half != 0 ? 0x7C00 : bits >> 13 & 0x7FFF);
}

static float fromBits(unsigned half) {
  uint32_t bits = (half & 0x8000) << 16 | (half & 0x7FFF) << 13;
  float small;
  memcpy(&small, &bits, 4);
  return (half & 0x7C00) == 0x7C00 ? (half & 0x3FF ? RSO_INFINITY - RSO_INFINITY : (half & 0x8000 ? -1 : 1) * RSO_INFINITY)
                                   : small * 0x1p112f;
}
#endif

// Two halves in a register: the first is the lower one.
static __device__ unsigned halvesOf(float a, float b) {
#ifdef RSO_CARD
  unsigned two;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(two) : "f"(b), "f"(a));
  return two;
#else
  return halfBits(a) | halfBits(b) << 16;
#endif
}

static __device__ float2 floatsOf(unsigned two) {
#ifdef RSO_CARD
  float2 v;
  asm("{ .reg .f16 l, h; mov.b32 {l, h}, %2; cvt.f32.f16 %0, l; cvt.f32.f16 %1, h; }" : "=f"(v.x), "=f"(v.y) : "r"(two));
  return v;
#else
  return make_float2(fromBits(two & 0xFFFF), fromBits(two >> 16));
#endif
}

// One number, and two neighbouring ones.
static __device__ float number(const float *x) { return *x; }
static __device__ float number(const Half *x) { return floatsOf(x->bits).x; }
static __device__ float2 pair(const float *x) { return *(const float2 *)x; }
static __device__ float2 pair(const Half *x) { return floatsOf(*(const unsigned *)x); }

static __device__ Quad load(const float *x) {
  float4 four = *(const float4 *)x;
  return {{four.x, four.y, four.z, four.w}};
}
static __device__ Quad load(const Half *x) {
  uint2 four = *(const uint2 *)x;
  float2 a = floatsOf(four.x), b = floatsOf(four.y);
  return {{a.x, a.y, b.x, b.y}};
}
static __device__ void store(float *y, const Quad &quad) {
  *(float4 *)y = make_float4(quad.v[0], quad.v[1], quad.v[2], quad.v[3]);
}
static __device__ void store(float *y, float x) { *y = x; }

// Where halves are written, from one on.
struct Halves {
  Half *at;
  float unit, factor;
  __device__ Halves operator+(long long count) const { return {at + count, unit, factor}; }
};
static __device__ void store(const Halves &y, const Quad &quad) {
  uint2 four;
  four.x = halvesOf(y.factor * quad.v[0], y.factor * quad.v[1]);
  four.y = halvesOf(y.factor * quad.v[2], y.factor * quad.v[3]);
  *(uint2 *)y.at = four;
}
static __device__ void store(const Halves &y, float x) { y.at->bits = (unsigned short)halvesOf(y.factor * x, 0); }

// What readers will see of a number that is written: sums over what is written are sums of that.
static __device__ float seen(const float *y, float x) { return x; }
static __device__ float seen(const Halves &y, float x) { return y.unit * floatsOf(halvesOf(y.factor * x, 0)).x; }

// An operand's numbers from one on, of either kind.
struct Numbers {
  const char *at;
  int size;
  __device__ Numbers operator+(long long count) const { return {at + count * size, size}; }
  __device__ bool areHalves() const { return size == (int)sizeof(Half); }
};

// Calls `body` with a pointer to the numbers. EITHER: otherwise they are floats.
template <bool EITHER = true, class Body> static __device__ void reading(const Numbers &x, const Body &body) {
  if (EITHER && x.areHalves())
    body((const Half *)x.at);
  else
    body((const float *)x.at);
}

static __device__ Quad load(const Numbers &x) { return x.areHalves() ? load((const Half *)x.at) : load((const float *)x.at); }
static __device__ float number(const Numbers &x) {
  return x.areHalves() ? number((const Half *)x.at) : *(const float *)x.at;
}

static __device__ long long offset(const rso_gpu_operand &x, const rso_gpu_turn *turn, int candidate) {
  return x.batch_stride * turn->batch + x.channel_stride * turn->channel + x.candidate_stride * candidate;
}

static __device__ Numbers numbers(const rso_gpu_operand &x, const rso_gpu_turn *turn, int candidate) {
  return Numbers{(const char *)x.data, (int)(x.unit != 0 ? sizeof(Half) : sizeof(float))} + offset(x, turn, candidate);
}

// For kernels whose operand or target is never kept in halves.
static __device__ const float *data(const rso_gpu_operand &x, const rso_gpu_turn *turn, int candidate) {
  return x.data + offset(x, turn, candidate);
}
static __device__ float *data(const rso_gpu_target &y, const rso_gpu_turn *turn, int candidate) {
  return y.data + y.batch_stride * turn->batch + y.candidate_stride * candidate;
}

// Calls `body` with a target's numbers. EITHER: otherwise they are floats.
template <bool EITHER = true, class Body>
static __device__ void writing(const rso_gpu_target &y, const rso_gpu_turn *turn, int candidate, const Body &body) {
  if (EITHER && y.unit != 0)
    body(Halves{(Half *)y.data, y.unit, 1 / y.unit} + (data(y, turn, candidate) - y.data));
  else
    body(data(y, turn, candidate));
}

// The source text of the GPU kernels, embedded so that a program needs no other file.
#include "crso_cuda.h"

#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char arguments[] = {
#embed "include/crso_cuda.h"
    , 0};
static const unsigned char rule[] = {
#embed "include/crso_rule.h"
    , 0};
static const unsigned char kernels[] = {
#embed "cuda/kernels.cu"
    , 0};
static const unsigned char numbers[] = {
#embed "cuda/numbers.cu"
    , 0};
static const unsigned char layers[] = {
#embed "cuda/layers.cu"
    , 0};
static const unsigned char tile[] = {
#embed "cuda/tile.cu"
    , 0};
static const unsigned char matrix[] = {
#embed "cuda/matrix.cu"
    , 0};
static const unsigned char tf32[] = {
#embed "cuda/tf32.cu"
    , 0};
static const unsigned char half[] = {
#embed "cuda/half.cu"
    , 0};
static const unsigned char mix[] = {
#embed "cuda/mix.cu"
    , 0};
static const unsigned char lone[] = {
#embed "cuda/lone.cu"
    , 0};
static const unsigned char weights[] = {
#embed "cuda/weights.cu"
    , 0};
static const unsigned char decide[] = {
#embed "cuda/decide.cu"
    , 0};
static const unsigned char losses[] = {
#embed "cuda/losses.cu"
    , 0};
static const unsigned char formulas[] = {
#embed "losses.inc"
    , 0};

static const rso_gpu_file files[] = {
    {"kernels.cu", (const char *)kernels}, {"crso_cuda.h", (const char *)arguments},
    {"crso_rule.h", (const char *)rule},   {"numbers.cu", (const char *)numbers},
    {"layers.cu", (const char *)layers},   {"tile.cu", (const char *)tile},
    {"matrix.cu", (const char *)matrix},   {"tf32.cu", (const char *)tf32},
    {"half.cu", (const char *)half},       {"mix.cu", (const char *)mix},
    {"lone.cu", (const char *)lone},       {"weights.cu", (const char *)weights},
    {"decide.cu", (const char *)decide},   {"losses.cu", (const char *)losses},
    {"../losses.inc", (const char *)formulas},
};

int32_t rso_cuda_file_count(void) { return sizeof files / sizeof *files; }
rso_gpu_file rso_cuda_file(int32_t index) { return files[index]; }

// Arguments of the GPU's kernels, one struct each, read by Swift, by the kernels and by the tests.
//
// Layout. Samples lie innermost: a value is [candidates][channels][area][samples] floats, where `samples` is the
// mini-batch rounded up to a multiple of 4 and what is behind the mini-batch's `count` holds nothing of meaning.
// Candidates are the candidates. Strides are in floats.
#ifndef CRSO_CUDA_H
#define CRSO_CUDA_H

#ifdef RSO_KERNELS
#define RSO_ADDRESS(type) type *
#else
#include <stdint.h>
#define RSO_ADDRESS(type) uint64_t
#endif

#include "crso_rule.h"

enum {
  // Most values that one proposal may choose from.
  rso_gpu_candidates = 8,
  // Samples that one thread computes.
  rso_gpu_quad = 4,
  // Threads of a block that adds up.
  rso_gpu_threads = 256,
  // Numbers that such a block adds up.
  rso_gpu_chunk = 4096,
  // Samples of a block that adds up losses.
  rso_gpu_loss_samples = 16,
  // Most classes of a linear layer whose logits are computed with their losses: threads of a sample.
  rso_gpu_classes = 16,
  // Bytes of shared memory that every card since 8.0 gives a block that asks for more than usual.
  rso_gpu_shared = 101376,
};

// One proposal.
typedef struct {
  // Its mini-batch, and the first of the order's samples that is in it.
  int batch, first;
  // The lone channel that it changes.
  int channel;
  // The element's index in the parameters, and within its lone channel.
  int element, row;
  // Of a weight: the input channel and the tap that it multiplies.
  int input, tap;
  // Changes to make up for, and lone channels to compute: where they begin in their lists.
  int first_change, changes, first_unit;
  // Its number within its round, and how many decisions are applied after it: none, or the round's.
  int place, applies;
  // The Δ that was drawn.
  float step;
  float candidates[rso_gpu_candidates];
  // The candidates less the value that the element has.
  float delta[rso_gpu_candidates];
} rso_gpu_turn;

// How far a run of proposals is.
typedef struct {
  int turn, count;
  // Whether a kept value's loss was NaN: nothing is decided from there on.
  int failed;
  // Blocks of the turn's last kernel that are done.
  int blocks;
  rso_rule rule;
  rso_rule_state state;
} rso_gpu_progress;

// What became of a proposal.
typedef struct {
  double losses[rso_gpu_candidates];
  // After it.
  rso_rule_state state;
  float value;
  int choice;
} rso_gpu_outcome;

// A value that waits for the end of its round.
typedef struct {
  int element;
  float value;
} rso_gpu_pending;

// A lone channel with the weights of a time: added to the rest (+1), taken out of it (-1), or neither (0).
typedef struct {
  int channel, time;
  float sign;
} rso_gpu_unit;

// A value to read: activation(scale * x + offset).
typedef struct {
  RSO_ADDRESS(const float) data;
  // Per mini-batch, per lone channel and per candidate; 0: the same for all.
  long long batch_stride, channel_stride, candidate_stride;
  // [candidates][channels]; NULL: x as it is.
  RSO_ADDRESS(const float) scale;
  RSO_ADDRESS(const float) offset;
  int affine_stride;
  // rso_activation
  int activation;
} rso_gpu_operand;

// Where a value is written.
typedef struct {
  RSO_ADDRESS(float) data;
  long long batch_stride, candidate_stride;
} rso_gpu_target;

// A window sliding over an image, zeros outside of it.
typedef struct {
  int height, width, out_height, out_width, kernel_height, kernel_width, stride, padding;
} rso_gpu_slide;

// y[o] = start[o] + sum over i, taps of w[row(i), tap, o] sign(i) x[i, shifted by tap]
typedef struct {
  RSO_ADDRESS(const rso_gpu_turn) turn;
  rso_gpu_operand x;
  // What to start from, y itself perhaps; without it the bias [outputs]; without both zero.
  rso_gpu_operand rest;
  RSO_ADDRESS(const float) bias;
  // [rows][taps][padded outputs]
  RSO_ADDRESS(const float) weights;
  // Lone channels, `width` inputs each, and their rows; NULL: row(i) = i, or as `lone` has it.
  RSO_ADDRESS(const rso_gpu_unit) units;
  rso_gpu_target y;
  rso_gpu_slide window;
  // `lone`: the inputs are those of the turn's channel.
  int samples, inputs, outputs, padded_outputs, width, lone;
  // In tiles only. `count`: samples that the sums are of; `tile_rows`: of the input, those that a block reads.
  int count, candidates, tile_rows;
  // As of rso_gpu_moments; NULL: not wanted.
  RSO_ADDRESS(double) partial;
} rso_gpu_convolve;

// y[c] = bias[c] + sum over taps of w[c, tap] x[c, shifted by tap], for every channel.
typedef struct {
  RSO_ADDRESS(const rso_gpu_turn) turn;
  rso_gpu_operand x;
  // [channels][taps], those of the turn's channel behind `width` times its number.
  RSO_ADDRESS(const float) weights;
  // [channels], likewise; NULL: zero.
  RSO_ADDRESS(const float) bias;
  rso_gpu_target y;
  rso_gpu_slide window;
  // `swept`: 1: the candidates are the weights' of the turn's row, 2: the bias's, 0: neither.
  int samples, channels, width, swept;
} rso_gpu_depthwise;

// y = a window's mean or maximum, for every channel.
typedef struct {
  RSO_ADDRESS(const rso_gpu_turn) turn;
  rso_gpu_operand x;
  rso_gpu_target y;
  rso_gpu_slide window;
  int samples, channels, maximum;
} rso_gpu_pool;

// partial[candidate][channel][chunk] = sum and sum of squares of the chunk's numbers.
typedef struct {
  RSO_ADDRESS(const rso_gpu_turn) turn;
  rso_gpu_operand x;
  RSO_ADDRESS(double) partial;
  int samples, count, area, channels, chunks;
} rso_gpu_moments;

// The affine map of batch norm from the chunks' sums or, without chunks, from given moments.
typedef struct {
  RSO_ADDRESS(const rso_gpu_turn) turn;
  // [partial_candidates][channels][chunks][2]
  RSO_ADDRESS(const double) partial;
  // [channels]: read without chunks, else written unless NULL.
  RSO_ADDRESS(double) mean;
  RSO_ADDRESS(double) variance;
  // [channels], those of the turn's channel behind `width` times its number.
  RSO_ADDRESS(const float) gamma;
  RSO_ADDRESS(const float) beta;
  // [candidates][channels]
  RSO_ADDRESS(float) scale;
  RSO_ADDRESS(float) offset;
  double values, epsilon;
  // `swept`: 1: the candidates are gamma's of the turn's row, 2: beta's, 0: neither.
  int channels, chunks, partial_candidates, width, swept;
} rso_gpu_settle;

// z += sum over the turn's changes of (parameter - start) * shifted x
// y[candidate] = z + delta[candidate] * (shifted x, or 1 without x)
typedef struct {
  RSO_ADDRESS(const rso_gpu_turn) turn;
  // Elements of the swept tensor.
  RSO_ADDRESS(const int) changes;
  RSO_ADDRESS(const float) parameters;
  RSO_ADDRESS(const float) start;
  rso_gpu_target z;
  // All channels of the layer's input.
  rso_gpu_operand x;
  rso_gpu_target y;
  rso_gpu_slide window;
  // As of rso_gpu_moments, of one channel; NULL: not wanted.
  RSO_ADDRESS(double) partial;
  int samples, count, candidates, per_channel, chunks;
} rso_gpu_shift_add;

// y = a + b
typedef struct {
  RSO_ADDRESS(const rso_gpu_turn) turn;
  rso_gpu_operand a, b;
  rso_gpu_target y;
  int samples, area, channels;
} rso_gpu_add;

// y = x, channels of x or of y picked by a list of lone channels, of y by the turn's.
typedef struct {
  RSO_ADDRESS(const rso_gpu_turn) turn;
  rso_gpu_operand x;
  rso_gpu_target y;
  RSO_ADDRESS(const rso_gpu_unit) from;
  // Units without a positive sign are left out.
  RSO_ADDRESS(const rso_gpu_unit) to;
  int samples, area, channels, width, to_lone;
} rso_gpu_copy;

// weights[input][tap][padded outputs] of parameters [outputs][inputs][taps]. With `row_length`:
// weights[tile of 16 outputs][input][row_length] of [tap][16]; `box`: of taps of 4×4, on what a mean of 2×2 would be of.
typedef struct {
  RSO_ADDRESS(const rso_gpu_turn) turn;
  RSO_ADDRESS(const float) parameters;
  // Lone channels that are the outputs, with the weights of their time; NULL: all, as they are.
  RSO_ADDRESS(const rso_gpu_unit) units;
  // Of the swept tensor: its values at the start and when each element is decided; else NULL.
  RSO_ADDRESS(const float) start;
  RSO_ADDRESS(const int) decided;
  RSO_ADDRESS(float) weights;
  int inputs, taps, outputs, padded_outputs, row_length, box;
} rso_gpu_pack;

// rows[unit][width] of parameters [channels][width], with the weights of their time.
typedef struct {
  RSO_ADDRESS(const rso_gpu_turn) turn;
  RSO_ADDRESS(const float) parameters;
  RSO_ADDRESS(const rso_gpu_unit) units;
  RSO_ADDRESS(const float) start;
  RSO_ADDRESS(const int) decided;
  RSO_ADDRESS(float) rows;
  int count, width;
} rso_gpu_rows;

// Images of an order as values.
typedef struct {
  RSO_ADDRESS(const rso_gpu_turn) turn;
  // [images][channels][area], one of the two.
  RSO_ADDRESS(const unsigned char) bytes;
  RSO_ADDRESS(const float) floats;
  // [channels][256] for bytes; [channels] for floats.
  RSO_ADDRESS(const float) table;
  RSO_ADDRESS(const float) mean;
  RSO_ADDRESS(const int) order;
  rso_gpu_target y;
  int samples, count, channels, area;
} rso_gpu_load;

// Sums the losses, decides by the rule, changes the parameters at the end of a round and goes on to the next turn.
typedef struct {
  RSO_ADDRESS(rso_gpu_turn) turn;
  RSO_ADDRESS(const rso_gpu_turn) turns;
  RSO_ADDRESS(rso_gpu_progress) progress;
  RSO_ADDRESS(float) parameters;
  RSO_ADDRESS(const double) partial;
  // [turns]
  RSO_ADDRESS(rso_gpu_outcome) outcomes;
  // [elements of the swept tensor]
  RSO_ADDRESS(rso_gpu_pending) pending;
  int candidates, blocks;
} rso_gpu_choose;

// partial[candidate][block] = the sum of the samples' softmax cross entropies.
// With `decide`, the last block to be done decides.
typedef struct {
  RSO_ADDRESS(const rso_gpu_turn) turn;
  // [classes]; with weights what they are multiplied with: [inputs][area], of whose places the mean or maximum is taken.
  rso_gpu_operand x;
  // [inputs][padded outputs]; at most rso_gpu_classes outputs.
  RSO_ADDRESS(const float) weights;
  RSO_ADDRESS(const float) bias;
  RSO_ADDRESS(const int) order;
  RSO_ADDRESS(const int) labels;
  RSO_ADDRESS(double) partial;
  // [samples], of the first candidate; may be NULL.
  RSO_ADDRESS(int) predicted;
  rso_gpu_choose decide;
  int samples, count, classes, blocks, inputs, area, maximum, padded_outputs, decides;
} rso_gpu_loss;

#ifndef RSO_KERNELS
// The text of a file of the kernels; the first is the one to compile, which includes the others.
typedef struct {
  const char *name, *text;
} rso_gpu_file;
int32_t rso_cuda_file_count(void);
rso_gpu_file rso_cuda_file(int32_t index);
#endif

#endif

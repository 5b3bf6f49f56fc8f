// Argument structs of the GPU kernels, shared by Swift, the kernels and the tests; activations and kinds of losses,
// shared by all engines.
//
// Layout: samples are innermost. A value is [candidates][channels][area][samples] numbers, where `samples` is the
// mini-batch size rounded up to a multiple of 4. The numbers after the mini-batch's `count` samples have no meaning.
// Numbers are floats, or halves where a kernel's operand or target may have a unit. Strides are in numbers.
#ifndef CRSO_CUDA_H
#define CRSO_CUDA_H

#ifdef RSO_KERNELS
#define RSO_ADDRESS(type) type *
#else
#include <stdint.h>
#define RSO_ADDRESS(type) uint64_t
#endif

#include "crso_rule.h"

typedef enum {
  rso_identity,
  rso_relu,
  rso_leaky_relu,
  rso_sigmoid,
  rso_tanh,
  rso_sign,
  rso_gelu,
  rso_silu,
  rso_hard_sigmoid,
  rso_hard_swish,
  rso_hard_step,
  rso_quantize,
} rso_function;

// An element-wise function with its numbers. Numbers that the function does not have are ignored.
typedef struct {
  rso_function function;
  // Leaky ReLU: the factor of negative inputs, at most 1.
  float slope;
  // Quantisation: the least level, and the number of steps from there to 1.
  float low, steps;
} rso_activation;

// A loss of every sample; docs/losses.md has the formulas.
typedef enum {
  rso_cross_entropy,
  rso_hinge,
  rso_squared_error,
  rso_absolute_error,
  rso_quantile,
  rso_binary_cross_entropy,
  rso_errors,
} rso_loss_kind;

enum {
  // The most values that one proposal may choose from.
  rso_gpu_candidates = 8,
  // The most turns that are judged together.
  rso_gpu_group = 32,
  // Samples per thread.
  rso_gpu_quad = 4,
  // Threads per block in kernels that add up.
  rso_gpu_threads = 256,
  // Numbers that such a block adds up.
  rso_gpu_chunk = 4096,
  // Samples per block in kernels that add up losses.
  rso_gpu_loss_samples = 16,
  // The most classes of a linear layer whose logits are computed together with their losses: threads per sample.
  rso_gpu_classes = 16,
  // Bytes of shared memory that every card since 8.0 gives a block that asks for more than usual.
  rso_gpu_shared = 101376,
};

// One proposal. Turns of a round with the same mini-batch and lone channel are judged together, as a group: the
// candidates of all of them follow one another. What they have in common is that of the first.
typedef struct {
  // Its mini-batch, and the index in the order of the mini-batch's first sample.
  int batch, first;
  // The lone channel that it changes.
  int channel;
  // The element's index in the parameters, and within its lone channel.
  int element, row;
  // For a weight: the input channel and the tap that it multiplies.
  int input, tap;
  // Changes to replay, and lone channels to compute: where they begin in their lists, and the number of changes.
  int first_change, changes, first_unit;
  // Its number within its round, and how many decisions to apply after it: none, or all of the round's.
  int place, applies;
  // Of the first of a group: how many turns are judged together, and how many to decide after them: none, or all that
  // were judged and not decided.
  int group, decides;
  // Number of candidates, the first ones, whose losses are not computed: 0 or 1; and whether the loss is then that of the
  // decision before. Otherwise the rule does without it.
  int from, is_known;
  // The Δ that was drawn.
  float step;
  // All of them in the list of turns. The current turns have those that are computed.
  float candidates[rso_gpu_candidates];
  // The same minus the element's current value.
  float delta[rso_gpu_candidates];
} rso_gpu_turn;

// The progress of a run of proposals.
typedef struct {
  // Turns that were judged, in the order of the queue; that were decided, in their own order; and that there are.
  int judged, decided, count;
  // Whether a current value's loss was NaN: no decisions are made after that.
  int failed;
  // Blocks of the last kernel that are done, for each turn of the group; and turns whose losses are there.
  int blocks[rso_gpu_group], summed;
  rso_rule rule;
  rso_rule_state state;
  // That of the candidate which the last decision chose.
  double last_loss;
} rso_gpu_progress;

// The result of a proposal. The losses come first, and wait there for the decision.
typedef struct {
  double losses[rso_gpu_candidates];
  // The rule's state after the proposal.
  rso_rule_state state;
  float value;
  int choice;
} rso_gpu_outcome;

// A value that waits for the end of its round.
typedef struct {
  int element;
  float value;
} rso_gpu_pending;

// A lone channel with the weights of a time: added to the rest (+1), subtracted from it (-1), or neither (0).
typedef struct {
  int channel, time;
  float sign;
} rso_gpu_unit;

// A value to read: activation(scale * x + offset).
typedef struct {
  RSO_ADDRESS(const float) data;
  // Per mini-batch, lone channel and candidate; 0: the same for all.
  long long batch_stride, channel_stride, candidate_stride;
  // [candidates][channels]; NULL: x is used as it is.
  RSO_ADDRESS(const float) scale;
  RSO_ADDRESS(const float) offset;
  int affine_stride;
  rso_activation activation;
  // 0: the numbers are floats; otherwise halves, and x is the unit, a power of two, times them.
  float unit;
} rso_gpu_operand;

// Where a value is written.
typedef struct {
  RSO_ADDRESS(float) data;
  long long batch_stride, candidate_stride;
  // As of an operand.
  float unit;
} rso_gpu_target;

// A window that slides over an image, with zeros outside.
typedef struct {
  int height, width, out_height, out_width, kernel_height, kernel_width, stride, padding;
} rso_gpu_slide;

// y[o] = start[o] + sum over i, taps of w[row(i), tap, o] sign(i) x[i, shifted by tap]
typedef struct {
  RSO_ADDRESS(const rso_gpu_turn) turn;
  rso_gpu_operand x;
  // The value to start from, possibly y itself; without it the bias [outputs]; without both zero.
  rso_gpu_operand rest;
  RSO_ADDRESS(const float) bias;
  // [rows][taps][padded outputs]
  RSO_ADDRESS(const float) weights;
  // Lone channels with `width` inputs each, which select the rows; NULL: row(i) = i, or the rows of `lone`.
  RSO_ADDRESS(const rso_gpu_unit) units;
  rso_gpu_target y;
  rso_gpu_slide window;
  // `lone`: the inputs belong to the turn's channel.
  int samples, inputs, outputs, padded_outputs, width, lone;
  // Only for tiles. `count`: samples that the sums cover; `each`: candidates of a turn; `tile_rows`: rows of the input
  // that a block reads.
  int count, candidates, each, tile_rows;
  // Only for half precision: powers of two that bring inputs and weights into its range, and what takes them out again.
  float x_factor, w_factor, y_factor;
  // As in rso_gpu_moments; NULL: not wanted.
  RSO_ADDRESS(double) partial;
} rso_gpu_convolve;

// y[c] = bias[c] + sum over taps of w[c, tap] x[c, shifted by tap], for every channel.
typedef struct {
  RSO_ADDRESS(const rso_gpu_turn) turn;
  rso_gpu_operand x;
  // [channels][taps]; the turn's channel begins at `width` times its number.
  RSO_ADDRESS(const float) weights;
  // [channels], like the weights; NULL: zero.
  RSO_ADDRESS(const float) bias;
  rso_gpu_target y;
  rso_gpu_slide window;
  // `swept`: 1: the candidates, `each` for a turn, replace a weight in the turn's row, 2: a bias, 0: neither.
  int samples, channels, width, swept, each;
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

// Batch norm's affine map, from the sums of the chunks or, if `chunks` is 0, from given moments.
typedef struct {
  RSO_ADDRESS(const rso_gpu_turn) turn;
  // [partial_candidates][channels][chunks][2]
  RSO_ADDRESS(const double) partial;
  // [channels]: read if `chunks` is 0, otherwise written unless NULL.
  RSO_ADDRESS(double) mean;
  RSO_ADDRESS(double) variance;
  // [channels]; the turn's channel begins at `width` times its number.
  RSO_ADDRESS(const float) gamma;
  RSO_ADDRESS(const float) beta;
  // [candidates][channels]
  RSO_ADDRESS(float) scale;
  RSO_ADDRESS(float) offset;
  double values, epsilon;
  // `swept`: 1: the candidates, `each` for a turn, replace gamma of the turn's row, 2: beta, 0: neither.
  int channels, chunks, partial_candidates, width, swept, each;
} rso_gpu_settle;

// z += sum over the first turn's changes of (parameter - start) * shifted x
// y[candidate] = z + delta[candidate] * (shifted x, or 1 without x), for `each` candidates of every turn
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
  // As in rso_gpu_moments, for one channel; NULL: not wanted.
  RSO_ADDRESS(double) partial;
  int samples, count, candidates, each, per_channel, chunks;
} rso_gpu_shift_add;

// y = a + b
typedef struct {
  RSO_ADDRESS(const rso_gpu_turn) turn;
  rso_gpu_operand a, b;
  rso_gpu_target y;
  int samples, area, channels;
} rso_gpu_add;

// y = x. A list of lone channels selects the channels of x or y; `to_lone` selects the turn's channel of y.
typedef struct {
  RSO_ADDRESS(const rso_gpu_turn) turn;
  rso_gpu_operand x;
  rso_gpu_target y;
  RSO_ADDRESS(const rso_gpu_unit) from;
  // Units without a positive sign are skipped.
  RSO_ADDRESS(const rso_gpu_unit) to;
  int samples, area, channels, width, to_lone;
} rso_gpu_copy;

// weights[input][tap][padded outputs] of parameters [outputs][inputs][taps]. With `row_length`:
// weights[tile of 16 outputs][input][row_length] of [tap][16]. `box`: 4×4 taps on the value before 2×2 means.
typedef struct {
  RSO_ADDRESS(const rso_gpu_turn) turn;
  RSO_ADDRESS(const float) parameters;
  // Lone channels that are the outputs, with the weights of their time; NULL: all outputs with their current weights.
  RSO_ADDRESS(const rso_gpu_unit) units;
  // The swept tensor's values at the start, and the time at which each element is decided; NULL for other tensors.
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

// The images of an order as values.
typedef struct {
  RSO_ADDRESS(const rso_gpu_turn) turn;
  // [images][channels][area]; one of the two is NULL.
  RSO_ADDRESS(const unsigned char) bytes;
  RSO_ADDRESS(const float) floats;
  // [channels][256] for bytes; [channels] for floats.
  RSO_ADDRESS(const float) table;
  RSO_ADDRESS(const float) mean;
  RSO_ADDRESS(const float) deviation;
  RSO_ADDRESS(const int) order;
  rso_gpu_target y;
  int samples, count, channels, area;
} rso_gpu_load;

// Sums the losses, decides by the rule, changes the parameters at the end of a round, and goes on to the next group.
typedef struct {
  // The current turns, a group; and all turns.
  RSO_ADDRESS(rso_gpu_turn) turn;
  RSO_ADDRESS(const rso_gpu_turn) turns;
  // The numbers of the turns, group by group.
  RSO_ADDRESS(const int) queue;
  RSO_ADDRESS(rso_gpu_progress) progress;
  RSO_ADDRESS(float) parameters;
  RSO_ADDRESS(const double) partial;
  // [turns]
  RSO_ADDRESS(rso_gpu_outcome) outcomes;
  // [elements of the swept tensor]
  RSO_ADDRESS(rso_gpu_pending) pending;
  // `candidates`: those that the launches compute for each turn; a turn has `from` more. `group`: turns.
  int candidates, blocks, group;
} rso_gpu_choose;

// A loss of samples, and its weight in a sum of losses: `rso_loss` of the CPU.
typedef struct {
  RSO_ADDRESS(const float) class_weights;
  double weight;
  float parameter;
  rso_loss_kind kind;
} rso_gpu_term;

// partial[candidate][block] = the sum of the samples' losses: softmax cross entropies, or `factor` times those of the terms.
// With `decides`, the last block to finish ends the group.
typedef struct {
  RSO_ADDRESS(const rso_gpu_turn) turn;
  // [classes]. With weights, the inputs that they multiply: the mean or maximum over the places of [inputs][area].
  rso_gpu_operand x;
  // [inputs][padded outputs]; at most rso_gpu_classes outputs.
  RSO_ADDRESS(const float) weights;
  RSO_ADDRESS(const float) bias;
  RSO_ADDRESS(const int) order;
  RSO_ADDRESS(const int) labels;
  RSO_ADDRESS(double) partial;
  // [samples], for the first candidate; may be NULL.
  RSO_ADDRESS(int) predicted;
  rso_gpu_choose decide;
  int samples, count, classes, blocks, inputs, area, maximum, padded_outputs, decides;
  // The rest is for the kernels of any loss.
  int terms;
  RSO_ADDRESS(const rso_gpu_term) term;
  // [images][classes], for losses of targets.
  RSO_ADDRESS(const float) targets;
  // [candidates][count][classes]: a copy of the outputs; NULL: not wanted.
  RSO_ADDRESS(float) outputs;
  double factor;
} rso_gpu_loss;

// A turn's end by losses that the host computed, of the candidates whose losses are computed.
typedef struct {
  rso_gpu_choose choose;
  double losses[rso_gpu_candidates];
} rso_gpu_given;

#ifndef RSO_KERNELS
// The text of one kernel file. The first is the one to compile, and it includes the others.
typedef struct {
  const char *name, *text;
} rso_gpu_file;
int32_t rso_cuda_file_count(void);
rso_gpu_file rso_cuda_file(int32_t index);
#endif

#endif

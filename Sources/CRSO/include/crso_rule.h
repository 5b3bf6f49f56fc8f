// Turns the candidates' losses into a decision. Only this code decides, compiled for the CPU and for a card.
#ifndef CRSO_RULE_H
#define CRSO_RULE_H

// kernels.cu defines RSO_INFINITY itself, and cannot include C headers.
#ifdef RSO_KERNELS
#define RSO_BOTH static __device__ inline
#else
#include <math.h>
#define RSO_BOTH static inline
#define RSO_INFINITY INFINITY
#endif

typedef enum {
  // The candidate with the smallest loss: the paper.
  rso_best,
  // The vertex of the parabola through the three losses.
  rso_parabola,
  // A step against the slope between the two outer losses, shorter where the loss is curved on average.
  rso_slope,
  // The level with the smallest total of losses over the sweeps so far.
  rso_leader,
} rso_rule_kind;

// A rule with its settings in one sweep.
typedef struct {
  // rso_rule_kind
  int kind;
  // The standard deviation σ that the proposals are drawn with.
  double width;
  // Best, leader: how many times a tensor's typical gain a change must gain; 0: anything.
  double margin;
  // Parabola: how far the vertex may be, in |Δ|, and the fraction of the way to go.
  double reach, settle;
  // Leader: what is left of a total in the next sweep, as a fraction.
  double keep;
  // Slope: the length of a typical step, in σ, and the decay of the running means.
  double c, decay;
  // The distance of the levels that the new value must be one of; 0: it may be any number.
  double level_width;
} rso_rule;

// A rule's state for a tensor: running means of squared slopes (with a margin: of squared gains) and of curvatures. Each
// comes with the sum of its weights, to correct its bias.
typedef struct {
  double squares, weight;
  double curvatures, curvature_weight;
} rso_rule_state;

typedef struct {
  float value;
  // The index of the smallest loss, the first one of equal losses; leader: of the smallest total. 0 if what it gains is
  // not worth a change.
  int choice;
} rso_decision;

RSO_BOTH int rso_is_finite(double x) { return x - x == 0; }

RSO_BOTH double rso_clamp(double x, double most) { return x > most ? most : x < -most ? -most : x; }

// Whether a gain is more than `margin` times what is typical: the root of the mean of squared gains. The gain of a
// candidate is what it takes off the loss of the current value, losses[0].
RSO_BOTH int rso_is_worth(const rso_rule *rule, rso_rule_state *state, const double *losses, int count, double gain) {
  double square = 0;
  for (int i = 1; i < count; ++i)
    square += (losses[0] - losses[i]) * (losses[0] - losses[i]) / (count - 1);
  if (!rso_is_finite(square))
    return 1;
  state->squares = rule->decay * state->squares + (1 - rule->decay) * square;
  state->weight = rule->decay * state->weight + (1 - rule->decay);
  return gain > rule->margin * sqrt(state->squares / state->weight);
}

// Adds the losses, less their mean, to an element's totals and returns the index of the smallest total, the first one of
// equals. totals: [count], in the order of the candidates' values; gain: what that takes off the current value's total.
RSO_BOTH int rso_lead(double keep, const float *candidates, const double *losses, int count, float *totals,
                      double *gain) {
  double mean = 0, current = 0, least = RSO_INFINITY;
  for (int i = 0; i < count; ++i)
    mean += losses[i] / count;
  int leader = 0;
  for (int i = 0; i < count; ++i) {
    int rank = 0;
    for (int j = 0; j < count; ++j)
      rank += candidates[j] < candidates[i];
    const double total = keep * totals[rank] + (losses[i] - mean);
    // Totals that no float holds would not be read back.
    totals[rank] = (float)(total > 3e38 ? 3e38 : total < -3e38 ? -3e38 : total);
    if (i == 0)
      current = total;
    if (total < least) {
      least = total;
      leader = i;
    }
  }
  *gain = current - least;
  return leader;
}

// Returns the new value of an element. candidates, losses: [count]; totals: of the element, or 0 without rso_leader. A
// NaN loss becomes infinite, except for the first: NaN says that it was not computed. If it was, and is NaN, the caller
// must report an error.
// All rules except `best` need the losses of w, w + delta and w - delta, and `slope` can do without the first. If delta
// is 0 or one of the losses is not finite, they take the best candidate, or w if its loss is not known, and leave the
// state unchanged. So they do with discrete weights: all candidates are levels, and a step would end between them.
RSO_BOTH rso_decision rso_decide(const rso_rule *rule, rso_rule_state *state, const float *candidates, float delta,
                                 double *losses, int count, float *totals) {
  int choice = 0, isFinite = 1;
  for (int i = 1; i < count; ++i) {
    if (losses[i] != losses[i])
      losses[i] = RSO_INFINITY;
    // Comparisons with NaN are false.
    if (!(losses[choice] <= losses[i]))
      choice = i;
  }
  for (int i = 0; i < count; ++i)
    isFinite &= rso_is_finite(losses[i]);
  const int isKnown = losses[0] == losses[0];
  double gain = losses[0] - losses[choice];
  if (totals && isFinite)
    choice = rso_lead(rule->keep, candidates, losses, count, totals, &gain);
  if (rule->margin > 0 && isKnown && !rso_is_worth(rule, state, losses, count, gain))
    choice = 0;
  rso_decision best = {candidates[isKnown ? choice : 0], choice};
  if (rule->kind == rso_best || rule->kind == rso_leader || rule->level_width > 0 || count != 3 || delta == 0)
    return best;

  const double w = candidates[0], d = delta;
  // The slope of the losses times 2 d, and their curvature times d².
  const double rise = losses[1] - losses[2], bend = isKnown ? (losses[1] - losses[0]) + (losses[2] - losses[0]) : 0;
  const double slope = rise / (2 * d), square = slope * slope;
  if (!rso_is_finite(bend / (d * d)) || !rso_is_finite(square))
    return best;

  double step;
  if (rule->kind == rso_parabola) {
    const double most = rule->reach * (d < 0 ? -d : d);
    step = rule->settle * (bend > 0 ? rso_clamp(-d * rise / (2 * bend), most) : candidates[choice] - w);
  } else {
    state->squares = rule->decay * state->squares + (1 - rule->decay) * square;
    state->weight = rule->decay * state->weight + (1 - rule->decay);
    if (isKnown) {
      state->curvatures = rule->decay * state->curvatures + (1 - rule->decay) * (bend / (d * d));
      state->curvature_weight = rule->decay * state->curvature_weight + (1 - rule->decay);
    }
    const double typical = sqrt(state->squares / state->weight), length = rule->c * rule->width;
    const double curvature = state->curvatures > 0 ? state->curvatures / state->curvature_weight : 0;
    step = slope == 0 ? 0 : rso_clamp(-slope / (curvature + typical / length), 3 * length);
  }
  best.value = (float)(w + step);
  return best;
}

#endif

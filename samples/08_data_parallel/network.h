/* The network: 4 inputs, 16 hidden units, 1 output; and the arguments of its kernel. */
#ifndef FLAGOS_SAMPLE_NETWORK_H
#define FLAGOS_SAMPLE_NETWORK_H

#include <flagos.h>

enum {
  INPUTS = 4,
  HIDDEN = 16,
  /* where the weights are: [HIDDEN][INPUTS], and then */
  HIDDEN_BIAS = HIDDEN * INPUTS,
  OUT_WEIGHT = HIDDEN_BIAS + HIDDEN,
  OUT_BIAS = OUT_WEIGHT + HIDDEN,
  LOSS = OUT_BIAS + 1, /* behind the gradients of the weights: the sum of the squared errors */
  GRADIENTS = LOSS + 1
};

/* Modes of the kernel: an item is a sample, a gradient, a weight. */
enum { FORWARD = 0, GRADIENT = 1, UPDATE = 2 };

typedef struct {
  flagos_address_t weights, inputs, targets, hidden, errors, gradients;
  uint32_t mode;
  uint32_t samples;
  float rate;
  uint32_t unused;
} step_arguments;

#endif

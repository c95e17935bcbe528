/*
 * A transformer block, attention and MLP, forward, in C11 against flagos_ops.h alone. The same code runs on every device
 * of every plugin; the results are compared.
 */
#include "samples/common/sample.h" /* first: it says which system functions are meant */

#include <flagos_ops.h>
#include <math.h>

enum { TOKENS = 64, WIDTH = 128, HEADS = 4, HEAD = WIDTH / HEADS, HIDDEN = 256, MAX_TENSORS = 32 };

/* A device, its stream, and tensors on it. */
typedef struct {
  sample_t sample;
  flagos_stream_t* stream;
  flagos_address_t memory[MAX_TENSORS];
  uint32_t count;
} block_t;

/* A tensor of up to three axes that owns its shape. */
typedef struct {
  flagos_tensor_t tensor;
  int64_t shape[3], strides[3];
} matrix_t;

static void describe(matrix_t* matrix, flagos_address_t address, uint32_t rank,
                     const int64_t* shape, const int64_t* strides) {
  memset(matrix, 0, sizeof(*matrix));
  matrix->tensor.struct_size = sizeof(matrix->tensor);
  matrix->tensor.dtype = FLAGOS_DTYPE_FLOAT32;
  matrix->tensor.address = address;
  matrix->tensor.rank = rank;
  memcpy(matrix->shape, shape, rank * sizeof(*shape));
  matrix->tensor.shape = matrix->shape;
  if (strides) {
    memcpy(matrix->strides, strides, rank * sizeof(*strides));
    matrix->tensor.strides = matrix->strides;
  }
}

static void new_matrix(block_t* block, matrix_t* matrix, int64_t rows, int64_t columns) {
  const int64_t shape[] = {rows, columns};
  const uint64_t bytes = (uint64_t)(rows * columns) * sizeof(float);
  block->memory[block->count] = sample_alloc(&block->sample, bytes);
  describe(matrix, block->memory[block->count++], 2, shape, NULL);
}

/* The same numbers on every device: small, and different everywhere. */
static void new_weights(block_t* block, matrix_t* matrix, int64_t rows, int64_t columns,
                        uint32_t seed, float scale) {
  const uint64_t count = (uint64_t)(rows * columns);
  float* values = (float*)malloc(count * sizeof(float));
  if (!values) exit(1);
  for (uint64_t i = 0; i < count; ++i) {
    seed = seed * 1664525u + 1013904223u;
    values[i] = scale * ((float)(seed >> 8) / 8388608.0f - 1.0f);
  }
  new_matrix(block, matrix, rows, columns);
  sample_check(flagos_memory_copy(block->stream, matrix->tensor.address,
                                  (flagos_address_t)(uintptr_t)values, count * sizeof(float)),
               "copying in");
  sample_check(flagos_stream_synchronize(block->stream, FLAGOS_TIMEOUT_INFINITE), "waiting");
  free(values);
}

/* [tokens, width] seen as [heads, tokens, head], or with `transposed` as [heads, head, tokens]: no copy. */
static void by_heads(matrix_t* heads, const matrix_t* all, int transposed) {
  const int64_t shape[] = {HEADS, TOKENS, HEAD}, strides[] = {HEAD, WIDTH, 1};
  const int64_t shape_t[] = {HEADS, HEAD, TOKENS}, strides_t[] = {HEAD, 1, WIDTH};
  describe(heads, all->tensor.address, 3, transposed ? shape_t : shape,
           transposed ? strides_t : strides);
}

/* What a token may look at: 0 for itself and those before it, minus infinity for those behind. */
static void new_mask(block_t* block, matrix_t* mask) {
  static float values[TOKENS * TOKENS];
  for (int row = 0; row < TOKENS; ++row)
    for (int column = 0; column < TOKENS; ++column)
      values[row * TOKENS + column] = column > row ? -INFINITY : 0.0f;
  new_matrix(block, mask, TOKENS, TOKENS);
  sample_check(flagos_memory_copy(block->stream, mask->tensor.address,
                                  (flagos_address_t)(uintptr_t)values, sizeof(values)),
               "copying in");
}

static void attention(block_t* block, const matrix_t* x, matrix_t* out) {
  flagos_stream_t* s = block->stream;
  const flagos_scalar_t scale = flagos_scalar_from_double(1.0 / sqrt((double)HEAD));
  const int64_t scores_shape[] = {HEADS, TOKENS, TOKENS};
  matrix_t weight, q, k, v, mixed, mask, scores, qh, kh, vh, mh, *parts[] = {&q, &k, &v};
  for (uint32_t i = 0; i < 3; ++i) {
    new_weights(block, &weight, WIDTH, WIDTH, 10 + i, 0.1f);
    new_matrix(block, parts[i], TOKENS, WIDTH);
    sample_check(flagos_ops_linear(s, &x->tensor, &weight.tensor, NULL, &parts[i]->tensor),
                 "linear");
  }
  new_mask(block, &mask);
  new_matrix(block, &scores, HEADS * TOKENS, TOKENS);
  describe(&scores, scores.tensor.address, 3, scores_shape, NULL);
  by_heads(&qh, &q, 0);
  by_heads(&kh, &k, 1);
  by_heads(&vh, &v, 0);
  sample_check(flagos_ops_bmm(s, &qh.tensor, &kh.tensor, &scores.tensor), "bmm");
  sample_check(flagos_ops_mul_scalar(s, &scores.tensor, &scale, &scores.tensor), "mul");
  sample_check(flagos_ops_add(s, &scores.tensor, &mask.tensor, NULL, &scores.tensor), "add");
  sample_check(flagos_ops_softmax(s, &scores.tensor, -1, &scores.tensor), "softmax");
  new_matrix(block, &mixed, TOKENS, WIDTH);
  by_heads(&mh, &mixed, 0);
  sample_check(flagos_ops_bmm(s, &scores.tensor, &vh.tensor, &mh.tensor), "bmm");
  new_weights(block, &weight, WIDTH, WIDTH, 13, 0.1f);
  sample_check(flagos_ops_linear(s, &mixed.tensor, &weight.tensor, NULL, &out->tensor), "linear");
}

static void mlp(block_t* block, const matrix_t* x, matrix_t* out) {
  flagos_stream_t* s = block->stream;
  matrix_t gate_weight, up_weight, down_weight, gate, up;
  new_weights(block, &gate_weight, HIDDEN, WIDTH, 20, 0.1f);
  new_weights(block, &up_weight, HIDDEN, WIDTH, 21, 0.1f);
  new_weights(block, &down_weight, WIDTH, HIDDEN, 22, 0.1f);
  new_matrix(block, &gate, TOKENS, HIDDEN);
  new_matrix(block, &up, TOKENS, HIDDEN);
  sample_check(flagos_ops_linear(s, &x->tensor, &gate_weight.tensor, NULL, &gate.tensor), "linear");
  sample_check(flagos_ops_linear(s, &x->tensor, &up_weight.tensor, NULL, &up.tensor), "linear");
  sample_check(flagos_ops_silu_and_mul(s, &gate.tensor, &up.tensor, &gate.tensor), "silu_and_mul");
  sample_check(flagos_ops_linear(s, &gate.tensor, &down_weight.tensor, NULL, &out->tensor),
               "linear");
}

/* x + attention(norm(x)), then the same with the MLP; the result comes to the host. */
static void run_block(flagos_runtime_t* runtime, uint32_t index, float* result) {
  const int64_t normalized[] = {WIDTH};
  const double epsilon = 1e-6;
  block_t block;
  matrix_t x, normed, part, weight;
  memset(&block, 0, sizeof(block));
  block.sample.runtime = runtime;
  sample_check(flagos_device_open(runtime, index, &block.sample.device), "opening the device");
  sample_check(flagos_stream_create(block.sample.device, NULL, &block.stream), "creating a stream");
  new_weights(&block, &x, TOKENS, WIDTH, 1, 1.0f);
  new_weights(&block, &weight, 1, WIDTH, 2, 1.0f);
  describe(&weight, weight.tensor.address, 1, normalized, NULL);
  new_matrix(&block, &normed, TOKENS, WIDTH);
  new_matrix(&block, &part, TOKENS, WIDTH);
  for (int half = 0; half < 2; ++half) {
    sample_check(flagos_ops_rms_norm(block.stream, &x.tensor, normalized, 1, &weight.tensor,
                                     epsilon, &normed.tensor),
                 "rms_norm");
    if (half == 0) attention(&block, &normed, &part);
    if (half == 1) mlp(&block, &normed, &part);
    sample_check(flagos_ops_add(block.stream, &x.tensor, &part.tensor, NULL, &x.tensor), "add");
  }
  sample_check(flagos_memory_copy(block.stream, (flagos_address_t)(uintptr_t)result,
                                  x.tensor.address, sizeof(float) * TOKENS * WIDTH),
               "copying out");
  sample_check(flagos_stream_synchronize(block.stream, FLAGOS_TIMEOUT_INFINITE), "waiting");
  for (uint32_t i = 0; i < block.count; ++i)
    sample_check(flagos_memory_free(block.sample.device, block.memory[i]), "freeing memory");
  sample_check(flagos_stream_destroy(block.stream), "destroying the stream");
  sample_check(flagos_device_close(block.sample.device), "closing the device");
}

int main(int argc, char** argv) {
  const char* id = sample_option(argc, argv, "--device");
  const double allowed = 1e-4; /* of values around 1: what sums in another order may differ by */
  static float first[TOKENS * WIDTH], other[TOKENS * WIDTH];
  flagos_runtime_t* runtime = NULL;
  uint32_t count = 0, start = 0;
  int wrong = 0;
  if (argc > (id ? 3 : 1)) {
    fprintf(stderr, "usage: %s [--device ID]\n", argv[0]);
    return 2;
  }
  sample_check(flagos_runtime_create(NULL, &runtime), "finding plugins");
  sample_check(flagos_device_get_count(runtime, &count), "counting devices");
  if (id) {
    sample_check(flagos_device_find(runtime, id, &start), "finding the device");
    count = start + 1;
  }
  if (count == 0) {
    fprintf(stderr, "error: no device was found; `flagos doctor` says why\n");
    return 1;
  }
  for (uint32_t index = start; index < count; ++index) {
    float* result = index == start ? first : other;
    double largest = 0, sum = 0;
    flagos_device_info_t info;
    memset(&info, 0, sizeof(info));
    info.struct_size = sizeof(info);
    sample_check(flagos_device_describe(runtime, index, &info), "describing the device");
    run_block(runtime, index, result);
    for (int i = 0; i < TOKENS * WIDTH; ++i) {
      sum += fabs((double)result[i]);
      if (!(fabs((double)result[i] - first[i]) <= largest))
        largest = fabs((double)result[i] - first[i]);
    }
    printf("  %-10s mean of the sizes %.6f, at most %.2g from %s\n", info.id,
           sum / (TOKENS * WIDTH), largest, index == start ? "itself" : "the first");
    if (!(largest <= allowed) || !(sum > 0)) wrong = 1;
  }
  sample_check(flagos_runtime_destroy(runtime), "ending the runtime");
  if (wrong) fprintf(stderr, "error: the devices do not agree within %g\n", allowed);
  return wrong;
}

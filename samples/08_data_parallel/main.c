/*
 * Data-parallel training: four ranks on devices of several plugins each see a quarter of the samples and add up their
 * gradients with an all_reduce. The same four ranks on one device learn the same, to the last bit: in the deterministic
 * mode a sum does not depend on who computes what.
 */
#include "samples/common/sample.h"

#include <flagos_comm.h>

#include "network.h"

enum { RANKS = 4, SAMPLES = 64, STEPS = 200, THREADS = 32 };

/* What one rank has. */
typedef struct {
  sample_t sample;
  flagos_module_t* module;
  flagos_kernel_t* step;
  flagos_stream_t* stream;
  flagos_comm_t* comm;
  step_arguments memory;
} rank_t;

static float random_float(uint32_t* state) {
  *state = *state * 1664525u + 1013904223u;
  return (float)(int32_t)(*state >> 8) / 8388608.0f - 1.0f;
}

static flagos_address_t upload(rank_t* rank, const float* values, uint32_t count) {
  const flagos_address_t address = sample_alloc(&rank->sample, count * sizeof(float));
  sample_check(flagos_memory_copy(rank->stream, address, (flagos_address_t)(uintptr_t)values,
                                  count * sizeof(float)),
               "copying to a device");
  sample_check(flagos_stream_synchronize(rank->stream, FLAGOS_TIMEOUT_INFINITE), "waiting");
  return address;
}

static void open_rank(rank_t* rank, uint32_t number, flagos_runtime_t* runtime,
                      const char* device) {
  static float weights[LOSS], inputs[SAMPLES * INPUTS], targets[SAMPLES], nothing[SAMPLES * HIDDEN];
  uint32_t index = 0, state = 1;
  for (uint32_t i = 0; i < LOSS; ++i) weights[i] = 0.5f * random_float(&state);
  state = 77 + number;
  for (uint32_t s = 0; s < SAMPLES; ++s) {
    float* x = inputs + s * INPUTS;
    for (uint32_t i = 0; i < INPUTS; ++i) x[i] = random_float(&state);
    targets[s] = x[0] * x[1] - x[2] + (x[3] > 0.0f ? x[3] : 0.0f);
  }
  rank->sample.runtime = runtime;
  sample_check(flagos_device_find(runtime, device, &index), "finding a device");
  sample_check(flagos_device_open(runtime, index, &rank->sample.device), "opening a device");
  rank->sample.info.struct_size = sizeof(rank->sample.info);
  sample_check(flagos_device_get_info(rank->sample.device, &rank->sample.info),
               "describing a device");
  rank->module = sample_load_kernels(&rank->sample, NULL);
  rank->step = sample_kernel(rank->module, "network_step");
  sample_check(flagos_stream_create(rank->sample.device, NULL, &rank->stream), "creating a stream");
  rank->memory.weights = upload(rank, weights, LOSS);
  rank->memory.inputs = upload(rank, inputs, SAMPLES * INPUTS);
  rank->memory.targets = upload(rank, targets, SAMPLES);
  rank->memory.hidden = upload(rank, nothing, SAMPLES * HIDDEN);
  rank->memory.errors = upload(rank, nothing, SAMPLES);
  rank->memory.gradients = upload(rank, nothing, GRADIENTS);
  rank->memory.samples = SAMPLES;
  rank->memory.rate = 0.05f / (RANKS * SAMPLES);
}

static void close_rank(rank_t* rank) {
  const flagos_address_t memory[] = {rank->memory.weights, rank->memory.inputs,
                                     rank->memory.targets, rank->memory.hidden,
                                     rank->memory.errors,  rank->memory.gradients};
  sample_check(flagos_comm_destroy(rank->comm), "destroying a communicator");
  for (size_t i = 0; i < sizeof(memory) / sizeof(memory[0]); ++i)
    sample_check(flagos_memory_free(rank->sample.device, memory[i]), "freeing");
  sample_check(flagos_stream_destroy(rank->stream), "destroying a stream");
  sample_check(flagos_module_unload(rank->module), "unloading");
  sample_check(flagos_device_close(rank->sample.device), "closing a device");
}

static void launch(rank_t* rank, uint32_t mode, uint32_t items) {
  rank->memory.mode = mode;
  sample_launch(rank->stream, rank->step, (items + THREADS - 1) / THREADS, 1, THREADS, 1,
                &rank->memory, sizeof(rank->memory));
}

/* Queues everything; each stream waits for the others in the all_reduce alone. */
static void train(rank_t* ranks, float* losses) {
  for (uint32_t step = 0; step < STEPS; ++step) {
    for (uint32_t i = 0; i < RANKS; ++i) {
      rank_t* rank = &ranks[i];
      launch(rank, FORWARD, SAMPLES);
      launch(rank, GRADIENT, GRADIENTS);
      sample_check(flagos_comm_all_reduce(rank->comm, rank->stream, rank->memory.gradients,
                                          rank->memory.gradients, GRADIENTS, FLAGOS_DTYPE_FLOAT32,
                                          FLAGOS_COMM_REDUCTION_SUM),
                   "adding up the gradients");
      launch(rank, UPDATE, LOSS);
    }
    const flagos_address_t loss = ranks[0].memory.gradients + LOSS * sizeof(float);
    sample_check(flagos_memory_copy(ranks[0].stream, (flagos_address_t)(uintptr_t)&losses[step],
                                    loss, sizeof(float)),
                 "copying the loss");
    sample_check(flagos_stream_synchronize(ranks[0].stream, FLAGOS_TIMEOUT_INFINITE), "training");
  }
  for (uint32_t i = 0; i < RANKS; ++i)
    sample_check(flagos_stream_synchronize(ranks[i].stream, FLAGOS_TIMEOUT_INFINITE), "training");
}

/* Four ranks on these devices in turn. */
static void run(flagos_runtime_t* runtime, const char* const* devices, uint32_t count,
                float* losses) {
  static rank_t ranks[RANKS];
  flagos_device_t* handles[RANKS];
  flagos_comm_t* comms[RANKS];
  flagos_comm_config_t config;
  memset(ranks, 0, sizeof(ranks));
  memset(&config, 0, sizeof(config));
  config.struct_size = sizeof(config);
  config.flags = FLAGOS_COMM_FLAG_DETERMINISTIC;
  printf("ranks on");
  for (uint32_t i = 0; i < RANKS; ++i) {
    open_rank(&ranks[i], i, runtime, devices[i % count]);
    handles[i] = ranks[i].sample.device;
    printf(" %s", ranks[i].sample.info.id);
  }
  sample_check(flagos_comm_create_all(RANKS, handles, &config, comms), "making a communicator");
  for (uint32_t i = 0; i < RANKS; ++i) ranks[i].comm = comms[i];
  train(ranks, losses);
  printf(": loss");
  for (uint32_t step = 0; step < STEPS; step += STEPS / 5)
    printf(" %.6f", losses[step] / (RANKS * SAMPLES));
  printf(" ... %.6f\n", losses[STEPS - 1] / (RANKS * SAMPLES));
  for (uint32_t i = 0; i < RANKS; ++i) close_rank(&ranks[i]);
}

int main(int argc, char** argv) {
  static const char* const one[] = {"cpu"};
  static const char* const kinds[] = {"cpu", "opencl", "vulkan"};
  static float alone[STEPS], mixed[STEPS];
  const char* found[3];
  flagos_runtime_t* runtime = NULL;
  uint32_t count = 0, index = 0;
  if (argc > 1) {
    fprintf(stderr, "usage: %s\n", argv[0]);
    return 2;
  }
  sample_check(flagos_runtime_create(NULL, &runtime), "finding plugins");
  for (uint32_t i = 0; i < 3; ++i)
    if (flagos_device_find(runtime, kinds[i], &index) == FLAGOS_STATUS_OK)
      found[count++] = kinds[i];
  run(runtime, one, 1, alone);
  run(runtime, found, count, mixed);
  const int same = memcmp(alone, mixed, sizeof(alone)) == 0;
  const int learns = mixed[STEPS - 1] < 0.2f * mixed[0];
  printf("  the losses are %s\n", same ? "the same to the last bit" : "DIFFERENT");
  if (!learns) fprintf(stderr, "error: the network has not learnt\n");
  sample_check(flagos_runtime_destroy(runtime), "ending the runtime");
  return same && learns ? 0 : 1;
}

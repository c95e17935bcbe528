/* Captures a few hundred small launches once and replays them as one; compares result and time with
 * plain launches. */
#include "samples/common/sample.h"

#include <time.h>

enum { STEPS = 500, ROUNDS = 20, THREADS = 64 };

typedef struct {
  flagos_address_t values;
  uint32_t factor;
  uint32_t addend;
} step_arguments;

static double now_seconds(void) {
  struct timespec now;
  timespec_get(&now, TIME_UTC);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void launch_steps(flagos_stream_t* stream, flagos_kernel_t* step, flagos_address_t values) {
  for (uint32_t i = 0; i < STEPS; ++i) {
    const step_arguments arguments = {values, 2 * i + 3, i};
    sample_launch(stream, step, 1, 1, THREADS, 1, &arguments, sizeof(arguments));
  }
}

static flagos_graph_exec_t* capture(flagos_stream_t* stream, flagos_kernel_t* step,
                                    flagos_address_t values) {
  flagos_graph_t* graph = NULL;
  flagos_graph_exec_t* exec = NULL;
  sample_check(flagos_stream_begin_capture(stream), "beginning the capture");
  launch_steps(stream, step, values);
  sample_check(flagos_stream_end_capture(stream, &graph), "ending the capture");
  sample_check(flagos_graph_instantiate(graph, &exec), "instantiating the graph");
  sample_check(flagos_graph_destroy(graph), "destroying the graph");
  return exec;
}

/* Runs ROUNDS rounds, as launches or as the graph, from the same start; gives result and seconds.
 */
static double run(flagos_stream_t* stream, flagos_kernel_t* step, flagos_graph_exec_t* exec,
                  flagos_address_t values, uint32_t* result) {
  const uint32_t start = 1;
  const uint64_t bytes = THREADS * sizeof(uint32_t);
  sample_check(flagos_memory_fill(stream, values, &start, sizeof(start), bytes), "filling");
  sample_check(flagos_stream_synchronize(stream, FLAGOS_TIMEOUT_INFINITE), "waiting");
  const double began = now_seconds();
  for (int round = 0; round < ROUNDS; ++round) {
    if (exec) {
      sample_check(flagos_graph_exec_launch(exec, stream), "launching the graph");
    } else {
      launch_steps(stream, step, values);
    }
  }
  sample_check(flagos_stream_synchronize(stream, FLAGOS_TIMEOUT_INFINITE), "waiting");
  const double seconds = now_seconds() - began;
  sample_check(flagos_memory_copy(stream, (flagos_address_t)(uintptr_t)result, values, bytes),
               "copying out");
  sample_check(flagos_stream_synchronize(stream, FLAGOS_TIMEOUT_INFINITE), "waiting");
  return seconds;
}

int main(int argc, char** argv) {
  const char* id = sample_option(argc, argv, "--device");
  if (argc > (id ? 3 : 1)) {
    fprintf(stderr, "usage: %s [--device ID]\n", argv[0]);
    return 2;
  }
  sample_t sample = sample_open(id);
  flagos_module_t* module = sample_load_kernels(&sample, NULL);
  flagos_kernel_t* step = sample_kernel(module, "mix_values");
  flagos_stream_t* stream = NULL;
  sample_check(flagos_stream_create(sample.device, NULL, &stream), "creating a stream");
  const flagos_address_t values = sample_alloc(&sample, THREADS * sizeof(uint32_t));
  flagos_graph_exec_t* exec = capture(stream, step, values);

  uint32_t eager[THREADS], replayed[THREADS], warm_up[THREADS];
  run(stream, step, NULL, values, warm_up);
  const double eager_seconds = run(stream, step, NULL, values, eager);
  const double replay_seconds = run(stream, step, exec, values, replayed);
  const int equal = memcmp(eager, replayed, sizeof(eager)) == 0;
  printf("%s: %d launches of %d steps\n", sample.info.id, ROUNDS, STEPS);
  printf("  one by one  %8.1f us a round\n", eager_seconds * 1e6 / ROUNDS);
  printf("  as a graph  %8.1f us a round, %.1f times as fast\n", replay_seconds * 1e6 / ROUNDS,
         replay_seconds > 0 ? eager_seconds / replay_seconds : 0.0);
  printf("  results     %s\n", equal ? "equal" : "DIFFER");

  sample_check(flagos_graph_exec_destroy(exec), "destroying the executable");
  sample_check(flagos_memory_free(sample.device, values), "freeing");
  sample_check(flagos_stream_destroy(stream), "destroying the stream");
  sample_check(flagos_module_unload(module), "unloading");
  sample_close(&sample);
  return equal ? 0 : 1;
}

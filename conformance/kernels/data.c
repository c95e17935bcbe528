/* Kernels for the cases about memory, copies, fills and streams. */
#define _GNU_SOURCE
#include <flagos_cpu_kernel.h>
#include <sched.h>
#include <time.h>

static uint64_t first_thread(const flagos_cpu_block_t* block) {
  return (uint64_t)block->block_index[0] * block->block[0];
}

/* word = word * multiplier + addend, once per launch: shows the order of launches. */
typedef struct {
  flagos_address_t word;
  uint32_t multiplier, addend;
} data_step_arguments;
static const flagos_parameter_t data_step_parameters[] = {
    FLAGOS_CPU_PARAMETER(data_step_arguments, word, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(data_step_arguments, multiplier, FLAGOS_DTYPE_UINT32),
    FLAGOS_CPU_PARAMETER(data_step_arguments, addend, FLAGOS_DTYPE_UINT32)};
FLAGOS_CPU_KERNEL(data_step, data_step_arguments, data_step_parameters) {
  uint32_t* word = (uint32_t*)flagos_cpu_pointer(arguments->word);
  if (first_thread(block) == 0) *word = *word * arguments->multiplier + arguments->addend;
}

/* Appends `tag` to a log: word 0 counts, the entries follow; entries past `capacity` are counted
 * only. */
typedef struct {
  flagos_address_t log;
  uint32_t tag, capacity;
} data_append_arguments;
static const flagos_parameter_t data_append_parameters[] = {
    FLAGOS_CPU_PARAMETER(data_append_arguments, log, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(data_append_arguments, tag, FLAGOS_DTYPE_UINT32),
    FLAGOS_CPU_PARAMETER(data_append_arguments, capacity, FLAGOS_DTYPE_UINT32)};
FLAGOS_CPU_KERNEL(data_append, data_append_arguments, data_append_parameters) {
  uint32_t* log = (uint32_t*)flagos_cpu_pointer(arguments->log);
  if (first_thread(block) != 0) return;
  if (log[0] < arguments->capacity) log[1 + log[0]] = arguments->tag;
  ++log[0];
}

/* target[i] = source[i] + addend for `count` words. */
typedef struct {
  flagos_address_t target, source;
  uint32_t addend, count;
} data_add_arguments;
static const flagos_parameter_t data_add_parameters[] = {
    FLAGOS_CPU_PARAMETER(data_add_arguments, target, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(data_add_arguments, source, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(data_add_arguments, addend, FLAGOS_DTYPE_UINT32),
    FLAGOS_CPU_PARAMETER(data_add_arguments, count, FLAGOS_DTYPE_UINT32)};
FLAGOS_CPU_KERNEL(data_add, data_add_arguments, data_add_parameters) {
  uint32_t* target = (uint32_t*)flagos_cpu_pointer(arguments->target);
  const uint32_t* source = (const uint32_t*)flagos_cpu_pointer(arguments->source);
  for (uint32_t thread = 0; thread < block->block[0]; ++thread) {
    const uint64_t i = first_thread(block) + thread;
    if (i < arguments->count) target[i] = source[i] + arguments->addend;
  }
}

/* Sets the flag `mine`, waits up to 20 s for the flag `other`, and says in `met` whether it came.
 */
typedef struct {
  flagos_address_t mine, other, met;
} data_meet_arguments;
static const flagos_parameter_t data_meet_parameters[] = {
    FLAGOS_CPU_PARAMETER(data_meet_arguments, mine, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(data_meet_arguments, other, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(data_meet_arguments, met, FLAGOS_DTYPE_ADDRESS)};
FLAGOS_CPU_KERNEL(data_meet, data_meet_arguments, data_meet_parameters) {
  uint32_t* mine = (uint32_t*)flagos_cpu_pointer(arguments->mine);
  uint32_t* other = (uint32_t*)flagos_cpu_pointer(arguments->other);
  uint32_t* met = (uint32_t*)flagos_cpu_pointer(arguments->met);
  struct timespec start, now;
  if (first_thread(block) != 0) return;
  clock_gettime(CLOCK_MONOTONIC, &start);
  __atomic_store_n(mine, 1, __ATOMIC_RELEASE);
  do {
    *met = __atomic_load_n(other, __ATOMIC_ACQUIRE);
    sched_yield();
    clock_gettime(CLOCK_MONOTONIC, &now);
  } while (*met == 0 && now.tv_sec - start.tv_sec < 20);
}

/* Fails, and so poisons its stream. */
FLAGOS_CPU_KERNEL_NO_ARGUMENTS(data_fail) {
  (void)arguments;
  block->fail(block, FLAGOS_STATUS_EXECUTION_FAILED, "data_fail fails on purpose");
}

/* A global of 64 words. */
FLAGOS_CPU_EXPORT_DATA uint32_t data_global[64];
uint32_t data_global[64] = {1, 2, 3};

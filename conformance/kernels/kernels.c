/* The kernels that the harness itself and most cases use, in the native convention of the cpu
 * plugin. A category adds its own in kernels/<category>.c: all files make one pack, kernels.elf-so.
 */
#define _GNU_SOURCE
#include <flagos_cpu_kernel.h>

#include <sched.h>
#include <stdatomic.h>
#include <time.h>

/* The index of thread 0 of this block among all threads of the launch, x fastest. */
#define THREADS_OF(block) ((uint64_t)(block)->block[0] * (block)->block[1] * (block)->block[2])
static uint64_t first_thread(const flagos_cpu_block_t* block) {
  const uint64_t row = (uint64_t)block->block_index[2] * block->grid[1] + block->block_index[1];
  return (row * block->grid[0] + block->block_index[0]) * THREADS_OF(block);
}

static uint64_t monotonic_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

FLAGOS_CPU_KERNEL_NO_ARGUMENTS(noop) {
  (void)block;
  (void)arguments;
}

/* Adds one to each of n values. */
typedef struct {
  flagos_address_t values;
  uint32_t n;
} add_one_arguments;
static const flagos_parameter_t add_one_parameters[] = {
    FLAGOS_CPU_PARAMETER(add_one_arguments, values, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(add_one_arguments, n, FLAGOS_DTYPE_UINT32)};
FLAGOS_CPU_KERNEL(add_one, add_one_arguments, add_one_parameters) {
  uint32_t* values = (uint32_t*)flagos_cpu_pointer(arguments->values);
  const uint64_t first = first_thread(block);
  for (uint64_t i = first; i < first + THREADS_OF(block) && i < arguments->n; ++i) ++values[i];
}

/* Copies n values. */
typedef struct {
  flagos_address_t target;
  flagos_address_t source;
  uint32_t n;
} copy_u32_arguments;
static const flagos_parameter_t copy_u32_parameters[] = {
    FLAGOS_CPU_PARAMETER(copy_u32_arguments, target, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(copy_u32_arguments, source, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(copy_u32_arguments, n, FLAGOS_DTYPE_UINT32)};
FLAGOS_CPU_KERNEL(copy_u32, copy_u32_arguments, copy_u32_parameters) {
  uint32_t* target = (uint32_t*)flagos_cpu_pointer(arguments->target);
  const uint32_t* source = (const uint32_t*)flagos_cpu_pointer(arguments->source);
  const uint64_t first = first_thread(block);
  for (uint64_t i = first; i < first + THREADS_OF(block) && i < arguments->n; ++i) {
    target[i] = source[i];
  }
}

/* Writes into each of n values the index of the thread that wrote it. */
typedef struct {
  flagos_address_t out;
  uint32_t n;
} fill_index_arguments;
static const flagos_parameter_t fill_index_parameters[] = {
    FLAGOS_CPU_PARAMETER(fill_index_arguments, out, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(fill_index_arguments, n, FLAGOS_DTYPE_UINT32)};
FLAGOS_CPU_KERNEL(fill_index, fill_index_arguments, fill_index_parameters) {
  uint32_t* out = (uint32_t*)flagos_cpu_pointer(arguments->out);
  const uint64_t first = first_thread(block);
  for (uint64_t i = first; i < first + THREADS_OF(block) && i < arguments->n; ++i) {
    out[i] = (uint32_t)i;
  }
}

/* Waits until the flag has the value, or 20 s: a case that ends early must not hold the device for
 * ever. */
typedef struct {
  flagos_address_t flag;
  uint32_t value;
} spin_until_arguments;
static const flagos_parameter_t spin_until_parameters[] = {
    FLAGOS_CPU_PARAMETER(spin_until_arguments, flag, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(spin_until_arguments, value, FLAGOS_DTYPE_UINT32)};
FLAGOS_CPU_KERNEL(spin_until, spin_until_arguments, spin_until_parameters) {
  (void)block;
  const _Atomic uint32_t* flag = (const _Atomic uint32_t*)flagos_cpu_pointer(arguments->flag);
  const uint64_t end = monotonic_ns() + 20000000000u;
  while (atomic_load_explicit(flag, memory_order_acquire) != arguments->value) {
    if (monotonic_ns() > end) return;
    sched_yield();
  }
}

/* Takes at least this long. */
typedef struct {
  uint64_t nanoseconds;
} sleep_ns_arguments;
static const flagos_parameter_t sleep_ns_parameters[] = {
    FLAGOS_CPU_PARAMETER(sleep_ns_arguments, nanoseconds, FLAGOS_DTYPE_UINT64)};
FLAGOS_CPU_KERNEL(sleep_ns, sleep_ns_arguments, sleep_ns_parameters) {
  (void)block;
  const struct timespec time = {(time_t)(arguments->nanoseconds / 1000000000u),
                                (long)(arguments->nanoseconds % 1000000000u)};
  struct timespec left = time;
  while (nanosleep(&left, &left) != 0) {
  }
}

/* Every thread of the launch adds the value to the counter. */
typedef struct {
  flagos_address_t counter;
  uint64_t value;
} atomic_add_arguments;
static const flagos_parameter_t atomic_add_parameters[] = {
    FLAGOS_CPU_PARAMETER(atomic_add_arguments, counter, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(atomic_add_arguments, value, FLAGOS_DTYPE_UINT64)};
FLAGOS_CPU_KERNEL(atomic_add, atomic_add_arguments, atomic_add_parameters) {
  _Atomic uint64_t* counter = (_Atomic uint64_t*)flagos_cpu_pointer(arguments->counter);
  for (uint64_t i = 0; i < THREADS_OF(block); ++i) atomic_fetch_add(counter, arguments->value);
}

/* Fails the launch with the status given. */
typedef struct {
  int32_t status;
} fail_arguments;
static const flagos_parameter_t fail_parameters[] = {
    FLAGOS_CPU_PARAMETER(fail_arguments, status, FLAGOS_DTYPE_INT32)};
FLAGOS_CPU_KERNEL(fail, fail_arguments, fail_parameters) {
  block->fail(block, arguments->status, "the conformance suite asked for this failure");
}

/* Writes one value, visible to the host at once. */
typedef struct {
  flagos_address_t flag;
  uint32_t value;
} write_flag_arguments;
static const flagos_parameter_t write_flag_parameters[] = {
    FLAGOS_CPU_PARAMETER(write_flag_arguments, flag, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(write_flag_arguments, value, FLAGOS_DTYPE_UINT32)};
FLAGOS_CPU_KERNEL(write_flag, write_flag_arguments, write_flag_parameters) {
  (void)block;
  _Atomic uint32_t* flag = (_Atomic uint32_t*)flagos_cpu_pointer(arguments->flag);
  atomic_store_explicit(flag, arguments->value, memory_order_release);
}

/* Kernels for the tests of the cpu plugin: native ones with descriptors, and plain functions. */
#include <flagos_cpu_kernel.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

FLAGOS_CPU_KERNEL_NO_ARGUMENTS(test_empty) {
  (void)block;
  (void)arguments;
}

/* Counts its threads, and writes the linear number of every block into its place. */
typedef struct {
  flagos_address_t counter, places;
} test_grid_arguments;
static const flagos_parameter_t test_grid_parameters[] = {
    FLAGOS_CPU_PARAMETER(test_grid_arguments, counter, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(test_grid_arguments, places, FLAGOS_DTYPE_ADDRESS)};
FLAGOS_CPU_KERNEL(test_grid, test_grid_arguments, test_grid_parameters) {
  const uint32_t* index = block->block_index;
  const uint64_t linear =
      ((uint64_t)index[2] * block->grid[1] + index[1]) * block->grid[0] + index[0];
  _Atomic uint64_t* counter = flagos_cpu_pointer(arguments->counter);
  atomic_fetch_add(counter, (uint64_t)block->block[0] * block->block[1] * block->block[2]);
  if (arguments->places != 0)
    ((uint64_t*)flagos_cpu_pointer(arguments->places))[linear] += linear + 1;
}

/* Every block waits for all of them, `rounds` times; shared memory is the block's own meanwhile. */
typedef struct {
  flagos_address_t arrived, errors;
  uint32_t rounds;
} test_meet_arguments;
static const flagos_parameter_t test_meet_parameters[] = {
    FLAGOS_CPU_PARAMETER(test_meet_arguments, arrived, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(test_meet_arguments, errors, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(test_meet_arguments, rounds, FLAGOS_DTYPE_UINT32)};
FLAGOS_CPU_KERNEL(test_meet, test_meet_arguments, test_meet_parameters) {
  _Atomic uint32_t* arrived = flagos_cpu_pointer(arguments->arrived);
  _Atomic uint32_t* errors = flagos_cpu_pointer(arguments->errors);
  uint32_t* own = block->shared;
  *own = block->block_index[0];
  for (uint32_t round = 1; round <= arguments->rounds; ++round) {
    atomic_fetch_add(arrived, 1);
    while (atomic_load(arrived) < round * block->grid[0]) sched_yield();
    if (*own != block->block_index[0]) atomic_fetch_add(errors, 1);
  }
}

/* Appends `value` to a log without any lock: only right when the stream keeps its order. */
typedef struct {
  flagos_address_t log;
  uint64_t value;
} test_append_arguments;
static const flagos_parameter_t test_append_parameters[] = {
    FLAGOS_CPU_PARAMETER(test_append_arguments, log, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(test_append_arguments, value, FLAGOS_DTYPE_UINT64)};
FLAGOS_CPU_KERNEL(test_append, test_append_arguments, test_append_parameters) {
  (void)block;
  uint64_t* log = flagos_cpu_pointer(arguments->log);
  log[++log[0]] = arguments->value;
}

/* Holds its thread until a flag is set. */
typedef struct {
  flagos_address_t flag;
} test_block_arguments;
static const flagos_parameter_t test_block_parameters[] = {
    FLAGOS_CPU_PARAMETER(test_block_arguments, flag, FLAGOS_DTYPE_ADDRESS)};
FLAGOS_CPU_KERNEL(test_block, test_block_arguments, test_block_parameters) {
  (void)block;
  const _Atomic uint32_t* flag = flagos_cpu_pointer(arguments->flag);
  while (atomic_load(flag) == 0) sched_yield();
}

/* Fails the launch in the block whose number is given. */
typedef struct {
  uint32_t block;
  int32_t status;
} test_fail_arguments;
static const flagos_parameter_t test_fail_parameters[] = {
    FLAGOS_CPU_PARAMETER(test_fail_arguments, block, FLAGOS_DTYPE_UINT32),
    FLAGOS_CPU_PARAMETER(test_fail_arguments, status, FLAGOS_DTYPE_INT32)};
FLAGOS_CPU_KERNEL(test_fail, test_fail_arguments, test_fail_parameters) {
  if (block->block_index[0] == arguments->block)
    block->fail(block, arguments->status, "test_fail was asked to");
}

/* Fills its shared memory with its number, gives way, and checks that nobody else wrote there. */
typedef struct {
  flagos_address_t errors;
} test_shared_arguments;
static const flagos_parameter_t test_shared_parameters[] = {
    FLAGOS_CPU_PARAMETER(test_shared_arguments, errors, FLAGOS_DTYPE_ADDRESS)};
FLAGOS_CPU_KERNEL_WITH(test_shared, test_shared_arguments, test_shared_parameters, 1,
                       sizeof(test_shared_arguments), 128) {
  unsigned char* shared = block->shared;
  const unsigned char mark = (unsigned char)block->block_index[0];
  uint64_t errors = (uintptr_t)shared % 64 != 0;
  memset(shared, mark, block->shared_bytes);
  sched_yield();
  for (uint32_t i = 0; i < block->shared_bytes; ++i) errors += shared[i] != mark;
  atomic_fetch_add((_Atomic uint64_t*)flagos_cpu_pointer(arguments->errors), errors);
}

/* y[i] = a * x[i] + y[i], one block of `block[0]` elements at a time. */
typedef struct {
  flagos_address_t x, y;
  float a;
  uint32_t n;
} test_axpy_arguments;
static const flagos_parameter_t test_axpy_parameters[] = {
    FLAGOS_CPU_PARAMETER(test_axpy_arguments, x, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(test_axpy_arguments, y, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(test_axpy_arguments, a, FLAGOS_DTYPE_FLOAT32),
    FLAGOS_CPU_PARAMETER(test_axpy_arguments, n, FLAGOS_DTYPE_UINT32)};
FLAGOS_CPU_KERNEL(test_axpy, test_axpy_arguments, test_axpy_parameters) {
  const float* x = flagos_cpu_pointer(arguments->x);
  float* y = flagos_cpu_pointer(arguments->y);
  const uint64_t first = (uint64_t)block->block_index[0] * block->block[0];
  const uint64_t end =
      first + block->block[0] < arguments->n ? first + block->block[0] : arguments->n;
  for (uint64_t i = first; i < end; ++i) y[i] += arguments->a * x[i];
}

/* A plain function of many types; the results go where `out` points. */
typedef struct {
  unsigned char bytes[24];
} test_bytes;
FLAGOS_CPU_EXPORT void test_plain(uint64_t* out, int8_t i8, uint16_t u16, int32_t i32, uint64_t u64,
                                  float f32, double f64, uint8_t truth, uint16_t half,
                                  test_bytes bytes);
FLAGOS_CPU_EXPORT void test_plain(uint64_t* out, int8_t i8, uint16_t u16, int32_t i32, uint64_t u64,
                                  float f32, double f64, uint8_t truth, uint16_t half,
                                  test_bytes bytes) {
  uint32_t bits32;
  uint64_t bits64;
  memcpy(&bits32, &f32, sizeof(bits32));
  memcpy(&bits64, &f64, sizeof(bits64));
  out[0] = (uint64_t)(int64_t)i8;
  out[1] = u16;
  out[2] = (uint64_t)(int64_t)i32;
  out[3] = u64;
  out[4] = bits32;
  out[5] = bits64;
  out[6] = truth;
  out[7] = half;
  out[8] = 0;
  for (unsigned i = 0; i < sizeof(bytes.bytes); ++i) out[8] = out[8] * 31 + bytes.bytes[i];
}

FLAGOS_CPU_EXPORT void test_plain_nothing(void);
FLAGOS_CPU_EXPORT void test_plain_nothing(void) {}

FLAGOS_CPU_EXPORT_DATA uint32_t test_global[4];
uint32_t test_global[4] = {11, 22, 33, 44};

/* A descriptor that lies: parameters outside the argument block. */
static void test_broken_body(const flagos_cpu_block_t* block, const void* arguments) {
  (void)block;
  (void)arguments;
}
static const flagos_parameter_t test_broken_parameters[] = {{FLAGOS_DTYPE_UINT64, 8, 8, 16}};
FLAGOS_CPU_EXPORT_DATA const flagos_cpu_kernel_t flagos_cpu_kernel_test_broken;
const flagos_cpu_kernel_t flagos_cpu_kernel_test_broken = {(uint32_t)sizeof(flagos_cpu_kernel_t),
                                                           FLAGOS_ABI_VERSION,
                                                           test_broken_body,
                                                           test_broken_parameters,
                                                           1,
                                                           16,
                                                           0,
                                                           0};

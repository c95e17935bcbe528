/* Kernels whose result depends on their order: for the cases on events, timelines, callbacks and
 * graphs. */
#include <flagos_cpu_kernel.h>
#include <sched.h>

typedef struct {
  flagos_address_t data;
  uint32_t count, multiply, add;
} tl_affine_arguments;
static const flagos_parameter_t tl_affine_parameters[] = {
    FLAGOS_CPU_PARAMETER(tl_affine_arguments, data, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(tl_affine_arguments, count, FLAGOS_DTYPE_UINT32),
    FLAGOS_CPU_PARAMETER(tl_affine_arguments, multiply, FLAGOS_DTYPE_UINT32),
    FLAGOS_CPU_PARAMETER(tl_affine_arguments, add, FLAGOS_DTYPE_UINT32)};
FLAGOS_CPU_KERNEL(tl_affine, tl_affine_arguments, tl_affine_parameters) {
  uint32_t* data = (uint32_t*)flagos_cpu_pointer(arguments->data);
  for (uint32_t t = 0; t < block->block[0]; ++t) {
    const uint64_t i = (uint64_t)block->block_index[0] * block->block[0] + t;
    if (i < arguments->count) data[i] = data[i] * arguments->multiply + arguments->add;
  }
}

typedef struct {
  flagos_address_t target, source;
  uint32_t count, multiply;
} tl_mix_arguments;
static const flagos_parameter_t tl_mix_parameters[] = {
    FLAGOS_CPU_PARAMETER(tl_mix_arguments, target, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(tl_mix_arguments, source, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(tl_mix_arguments, count, FLAGOS_DTYPE_UINT32),
    FLAGOS_CPU_PARAMETER(tl_mix_arguments, multiply, FLAGOS_DTYPE_UINT32)};
FLAGOS_CPU_KERNEL(tl_mix, tl_mix_arguments, tl_mix_parameters) {
  uint32_t* target = (uint32_t*)flagos_cpu_pointer(arguments->target);
  const uint32_t* source = (const uint32_t*)flagos_cpu_pointer(arguments->source);
  for (uint32_t t = 0; t < block->block[0]; ++t) {
    const uint64_t i = (uint64_t)block->block_index[0] * block->block[0] + t;
    if (i < arguments->count) target[i] = target[i] * arguments->multiply + source[i];
  }
}

/* Takes a while, then stores. The product is stored too, so that no compiler drops the loop. */
typedef struct {
  flagos_address_t data;
  uint32_t rounds, value;
} tl_labour_arguments;
static const flagos_parameter_t tl_labour_parameters[] = {
    FLAGOS_CPU_PARAMETER(tl_labour_arguments, data, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(tl_labour_arguments, rounds, FLAGOS_DTYPE_UINT32),
    FLAGOS_CPU_PARAMETER(tl_labour_arguments, value, FLAGOS_DTYPE_UINT32)};
FLAGOS_CPU_KERNEL(tl_labour, tl_labour_arguments, tl_labour_parameters) {
  volatile uint32_t* data = (volatile uint32_t*)flagos_cpu_pointer(arguments->data);
  uint32_t product = 12345u + block->block_index[0];
  for (uint32_t i = 0; i < arguments->rounds; ++i)
    product = product * 1664525u + (product >> 13) + i;
  if (product == 0x5eed5eedu) data[0] = product;
  data[0] = arguments->value;
}

/* Fails the launch with the status it is given. */
typedef struct {
  uint32_t status;
} tl_fail_arguments;
static const flagos_parameter_t tl_fail_parameters[] = {
    FLAGOS_CPU_PARAMETER(tl_fail_arguments, status, FLAGOS_DTYPE_UINT32)};
FLAGOS_CPU_KERNEL(tl_fail, tl_fail_arguments, tl_fail_parameters) {
  block->fail(block, (flagos_status_t)arguments->status, "tl_fail was asked to fail");
}

/* Loses the device. */
FLAGOS_CPU_KERNEL_NO_ARGUMENTS(tl_lose) {
  (void)arguments;
  block->fail(block, FLAGOS_STATUS_DEVICE_LOST, "tl_lose was asked to lose the device");
}

/* Answers the host word by word until it is told to stop: request[0] is a sequence number,
   request[16] its data; reply likewise. The acquire and release below are the fence that message
   passing needs. */
#define TL_STOP 0xffffffffu
typedef struct {
  flagos_address_t request, reply;
} tl_answer_arguments;
static const flagos_parameter_t tl_answer_parameters[] = {
    FLAGOS_CPU_PARAMETER(tl_answer_arguments, request, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(tl_answer_arguments, reply, FLAGOS_DTYPE_ADDRESS)};
FLAGOS_CPU_KERNEL(tl_answer, tl_answer_arguments, tl_answer_parameters) {
  uint32_t* request = (uint32_t*)flagos_cpu_pointer(arguments->request);
  uint32_t* reply = (uint32_t*)flagos_cpu_pointer(arguments->reply);
  (void)block;
  uint32_t served = 0;
  for (;;) {
    uint32_t sequence = __atomic_load_n(&request[0], __ATOMIC_ACQUIRE);
    for (uint32_t spins = 0; sequence == served; ++spins) {
      if (spins % 64 == 63) sched_yield();
      sequence = __atomic_load_n(&request[0], __ATOMIC_ACQUIRE);
    }
    if (sequence == TL_STOP) break;
    served = sequence;
    reply[16] = request[16] ^ (sequence * 2654435761u);
    __atomic_store_n(&reply[0], sequence, __ATOMIC_RELEASE);
  }
}

/* Litmus tests between two blocks. Each block runs its side of every round; results are compared on
   the host. kind 0: store buffer (x = 1; r = y | y = 1; r = x), sequentially consistent. kind 1:
   coherence (block 0 writes 1 then 2 to x; block 1 reads x twice). kind 2: message passing (block
   0: data, then flag with release | block 1: flag with acquire, then data). */
typedef struct {
  flagos_address_t x, y, result;
  uint32_t rounds, kind;
} tl_litmus_arguments;
static const flagos_parameter_t tl_litmus_parameters[] = {
    FLAGOS_CPU_PARAMETER(tl_litmus_arguments, x, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(tl_litmus_arguments, y, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(tl_litmus_arguments, result, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(tl_litmus_arguments, rounds, FLAGOS_DTYPE_UINT32),
    FLAGOS_CPU_PARAMETER(tl_litmus_arguments, kind, FLAGOS_DTYPE_UINT32)};

static void store_buffer(uint32_t side, uint32_t rounds, uint32_t* x, uint32_t* y,
                         uint32_t* result) {
  for (uint32_t i = 0; i < rounds; ++i) {
    __atomic_store_n(side == 0 ? &x[i] : &y[i], 1u, __ATOMIC_SEQ_CST);
    result[2 * i + side] = __atomic_load_n(side == 0 ? &y[i] : &x[i], __ATOMIC_SEQ_CST);
  }
}

static void coherence(uint32_t side, uint32_t rounds, uint32_t* x, uint32_t* result) {
  for (uint32_t i = 0; i < rounds; ++i) {
    if (side == 0) {
      __atomic_store_n(&x[i], 1u, __ATOMIC_RELAXED);
      __atomic_store_n(&x[i], 2u, __ATOMIC_RELAXED);
    } else {
      result[2 * i] = __atomic_load_n(&x[i], __ATOMIC_RELAXED);
      result[2 * i + 1] = __atomic_load_n(&x[i], __ATOMIC_RELAXED);
    }
  }
}

static void message(uint32_t side, uint32_t rounds, uint32_t* x, uint32_t* y, uint32_t* result) {
  for (uint32_t i = 0; i < rounds; ++i) {
    if (side == 0) {
      __atomic_store_n(&x[i], i + 1, __ATOMIC_RELAXED);
      __atomic_store_n(&y[i], 1u, __ATOMIC_RELEASE);
    } else {
      result[2 * i] = __atomic_load_n(&y[i], __ATOMIC_ACQUIRE);
      result[2 * i + 1] = __atomic_load_n(&x[i], __ATOMIC_RELAXED);
    }
  }
}

FLAGOS_CPU_KERNEL(tl_litmus, tl_litmus_arguments, tl_litmus_parameters) {
  uint32_t* x = (uint32_t*)flagos_cpu_pointer(arguments->x);
  uint32_t* y = (uint32_t*)flagos_cpu_pointer(arguments->y);
  uint32_t* result = (uint32_t*)flagos_cpu_pointer(arguments->result);
  const uint32_t side = block->block_index[0];
  if (arguments->kind == 0) store_buffer(side, arguments->rounds, x, y, result);
  if (arguments->kind == 1) coherence(side, arguments->rounds, x, result);
  if (arguments->kind == 2) message(side, arguments->rounds, x, y, result);
}

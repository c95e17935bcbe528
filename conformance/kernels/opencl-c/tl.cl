// Kernels whose result depends on their order: see ../tl.c.
__kernel void tl_affine(__global uint* data, uint count, uint multiply, uint add) {
  const ulong i = thread_number();
  if (i < count) data[i] = data[i] * multiply + add;
}

__kernel void tl_mix(__global uint* target, __global const uint* source, uint count,
                     uint multiply) {
  const ulong i = thread_number();
  if (i < count) target[i] = target[i] * multiply + source[i];
}

__kernel void tl_labour(volatile __global uint* data, uint rounds, uint value) {
  uint product = 12345u + (uint)get_group_id(0);
  for (uint i = 0; i < rounds; ++i) product = product * 1664525u + (product >> 13) + i;
  if (product == 0x5eed5eedu) data[0] = product;
  data[0] = value;
}

__kernel void tl_fail(uint status, __global int* flagos_failure) {
  *flagos_failure = (int)status;
}

#define TL_STOP 0xffffffffu
__kernel void tl_answer(volatile __global uint* request, volatile __global uint* reply) {
  uint served = 0;
  for (;;) {
    uint sequence = load_word(&request[0]);
    while (sequence == served) sequence = load_word(&request[0]);
    if (sequence == TL_STOP) break;
    served = sequence;
    mem_fence(CLK_GLOBAL_MEM_FENCE);
    reply[16] = request[16] ^ (sequence * 2654435761u);
    store_word(&reply[0], sequence);
  }
}

// Atomic read-modify-writes: in OpenCL C 1.2 the only operations that other blocks see in order.
void store_buffer(uint side, uint rounds, volatile __global uint* x, volatile __global uint* y,
                  __global uint* result) {
  for (uint i = 0; i < rounds; ++i) {
    atomic_xchg(side == 0 ? &x[i] : &y[i], 1u);
    mem_fence(CLK_GLOBAL_MEM_FENCE);
    result[2 * i + side] = load_word(side == 0 ? &y[i] : &x[i]);
  }
}

void coherence(uint side, uint rounds, volatile __global uint* x, __global uint* result) {
  for (uint i = 0; i < rounds; ++i) {
    if (side == 0) {
      atomic_xchg(&x[i], 1u);
      atomic_xchg(&x[i], 2u);
    } else {
      result[2 * i] = load_word(&x[i]);
      result[2 * i + 1] = load_word(&x[i]);
    }
  }
}

void message(uint side, uint rounds, volatile __global uint* x, volatile __global uint* y,
             __global uint* result) {
  for (uint i = 0; i < rounds; ++i) {
    if (side == 0) {
      atomic_xchg(&x[i], i + 1);
      store_word(&y[i], 1u);
    } else {
      result[2 * i] = load_word(&y[i]);
      mem_fence(CLK_GLOBAL_MEM_FENCE);
      result[2 * i + 1] = load_word(&x[i]);
    }
  }
}

__kernel void tl_litmus(volatile __global uint* x, volatile __global uint* y,
                        __global uint* result, uint rounds, uint kind) {
  const uint side = (uint)get_group_id(0);
  if (kind == 0) store_buffer(side, rounds, x, y, result);
  if (kind == 1) coherence(side, rounds, x, result);
  if (kind == 2) message(side, rounds, x, y, result);
}

// Kernels whose result depends on their order: see ../tl.c.
KERNEL tl_affine(uint* data, uint count, uint multiply, uint add) {
  const ulong i = thread_number();
  if (i < count) data[i] = data[i] * multiply + add;
}

KERNEL tl_mix(uint* target, const uint* source, uint count, uint multiply) {
  const ulong i = thread_number();
  if (i < count) target[i] = target[i] * multiply + source[i];
}

KERNEL tl_labour(volatile uint* data, uint rounds, uint value) {
  uint product = 12345u + blockIdx.x;
  for (uint i = 0; i < rounds; ++i) product = product * 1664525u + (product >> 13) + i;
  if (product == 0x5eed5eedu) data[0] = product;
  data[0] = value;
}

KERNEL tl_fail(uint status, int* flagos_failure) { *flagos_failure = (int)status; }

#define TL_STOP 0xffffffffu
KERNEL tl_answer(volatile uint* request, volatile uint* reply) {
  uint served = 0;
  for (;;) {
    uint sequence = load_word(&request[0]);
    while (sequence == served) sequence = load_word(&request[0]);
    if (sequence == TL_STOP) break;
    served = sequence;
    __threadfence();
    reply[16] = request[16] ^ (sequence * 2654435761u);
    store_word(&reply[0], sequence);
  }
}

FN void store_buffer(uint side, uint rounds, volatile uint* x, volatile uint* y, uint* result) {
  for (uint i = 0; i < rounds; ++i) {
    (side == 0 ? x : y)[i] = 1;
    __threadfence_system();
    result[2 * i + side] = (side == 0 ? y : x)[i];
  }
}

FN void coherence(uint side, uint rounds, volatile uint* x, uint* result) {
  for (uint i = 0; i < rounds; ++i) {
    if (side == 0) {
      x[i] = 1;
      x[i] = 2;
    } else {
      result[2 * i] = x[i];
      result[2 * i + 1] = x[i];
    }
  }
}

FN void message(uint side, uint rounds, volatile uint* x, volatile uint* y, uint* result) {
  for (uint i = 0; i < rounds; ++i) {
    if (side == 0) {
      x[i] = i + 1;
      store_word(&y[i], 1u);
    } else {
      result[2 * i] = load_word(&y[i]);
      result[2 * i + 1] = x[i];
    }
  }
}

KERNEL tl_litmus(volatile uint* x, volatile uint* y, uint* result, uint rounds, uint kind) {
  const uint side = blockIdx.x;
  if (kind == 0) store_buffer(side, rounds, x, y, result);
  if (kind == 1) coherence(side, rounds, x, result);
  if (kind == 2) message(side, rounds, x, y, result);
}

// A trap takes its context with it: the device is lost.
KERNEL tl_lose() { __trap(); }

// Kernels for the cases on launches: see ../krn.c.
KERNEL krn_echo(signed char i8, ulong* out, flagos_float16_t f16, uchar u8, long long i64,
                short i16, double f64, flagos_bool_t boolean, uint u32, flagos_bfloat16_t bf16,
                ulong u64, ushort u16, float f32, int i32, flagos_address_t address) {
  out[0] = (uchar)i8;
  out[1] = f16.bits;
  out[2] = u8;
  out[3] = (ulong)i64;
  out[4] = (ushort)i16;
  out[5] = (ulong)__double_as_longlong(f64);
  out[6] = boolean;
  out[7] = u32;
  out[8] = bf16.bits;
  out[9] = u64;
  out[10] = u16;
  out[11] = __float_as_uint(f32);
  out[12] = (uint)i32;
  out[13] = address.bits;
}

#define KRN_BYTES(size)                                                                           \
  struct krn_bytes_##size##_t {                                                                   \
    uchar bytes[size];                                                                            \
  };                                                                                              \
  KERNEL krn_bytes_##size(uchar* out, uchar lead, struct krn_bytes_##size##_t value, uint tail) { \
    for (int i = 0; i < size; ++i) out[i] = value.bytes[i];                                       \
    out[size] = lead;                                                                             \
    for (int i = 0; i < 4; ++i) out[size + 1 + i] = (uchar)(tail >> (8 * i));                     \
  }
KRN_BYTES(1)
KRN_BYTES(2)
KRN_BYTES(3)
KRN_BYTES(7)
KRN_BYTES(16)
KRN_BYTES(33)
KRN_BYTES(256)
KRN_BYTES(4080)

// Many words, by hexadecimal numbers: parameters w000, w001 ... and a store for each.
#define EACH_16(do, n)                                                                     \
  do(n##0) do(n##1) do(n##2) do(n##3) do(n##4) do(n##5) do(n##6) do(n##7) do(n##8) do(n##9) \
  do(n##a) do(n##b) do(n##c) do(n##d) do(n##e) do(n##f)
#define EACH_64(do, n, a, b, c, d) \
  EACH_16(do, n##a) EACH_16(do, n##b) EACH_16(do, n##c) EACH_16(do, n##d)
#define EACH_256(do, n)                                          \
  EACH_64(do, n, 0, 1, 2, 3) EACH_64(do, n, 4, 5, 6, 7)          \
  EACH_64(do, n, 8, 9, a, b) EACH_64(do, n, c, d, e, f)
#define EACH_1022(do)                                                                       \
  EACH_256(do, 0) EACH_256(do, 1) EACH_256(do, 2)                                           \
  EACH_64(do, 3, 0, 1, 2, 3) EACH_64(do, 3, 4, 5, 6, 7) EACH_64(do, 3, 8, 9, a, b)          \
  EACH_16(do, 3c) EACH_16(do, 3d) EACH_16(do, 3e)                                           \
  do(3f0) do(3f1) do(3f2) do(3f3) do(3f4) do(3f5) do(3f6) do(3f7) do(3f8) do(3f9) do(3fa)   \
  do(3fb) do(3fc) do(3fd)
#define WORD(n) , uint w##n
#define STORE(n) out[0x##n] = w##n;
KERNEL krn_many_64(uint* out EACH_64(WORD, 0, 0, 1, 2, 3)) {
  EACH_64(STORE, 0, 0, 1, 2, 3)
}
KERNEL krn_many_128(uint* out EACH_64(WORD, 0, 0, 1, 2, 3)
                        EACH_64(WORD, 0, 4, 5, 6, 7)) {
  EACH_64(STORE, 0, 0, 1, 2, 3)
  EACH_64(STORE, 0, 4, 5, 6, 7)
}
KERNEL krn_many_1022(uint* out EACH_1022(WORD)) { EACH_1022(STORE) }

KERNEL krn_gaps(uchar a, ulong b, uchar c, uint d, ushort e, ulong* out, uchar f) {
  out[0] = a;
  out[1] = b;
  out[2] = c;
  out[3] = d;
  out[4] = e;
  out[5] = f;
}

// ---- indices ----

KERNEL krn_ids(uint* rows, volatile uint* counts) {
  const ulong i = thread_number();
  for (uint k = 0; k < 3; ++k) {
    rows[6 * i + k] = (k == 0 ? blockIdx.x : k == 1 ? blockIdx.y : blockIdx.z);
    rows[6 * i + 3 + k] = (k == 0 ? threadIdx.x : k == 1 ? threadIdx.y : threadIdx.z);
  }
  atomicAdd((uint*)&counts[i], 1u);
}

KERNEL krn_count(volatile ulong* counter) { atomicAdd((ulong*)counter, 1ull); }

KERNEL krn_append(uint* log, uint value) {
  log[1 + log[0]] = value;
  ++log[0];
}

// ---- shared memory and barriers ----

FN uint shared_word(uint seed, ulong number, uint i) {
  return (seed + (uint)number) * 2654435761u + i * 40503u;
}
// The first `own` words are in one array, those behind them in the other.
FN void use_shared(uint* first, uint own, uint* rest, uint* out, uint words, uint seed) {
  const ulong number = block_number();
  const uint threads = (uint)block_threads();
  for (uint i = (uint)thread_in_block(); i < words; i += threads)
    (i < own ? first[i] : rest[i - own]) = shared_word(seed, number, i);
  __syncthreads();
  if (thread_in_block() != 0) return;
  uint sum = 0, wrong = 0;
  for (uint i = words; i-- > 0;) {
    const uint found = i < own ? first[i] : rest[i - own];
    sum += found;
    wrong += found != shared_word(seed, number, i);
  }
  out[number] = sum;
  out[block_count() + number] = wrong;
}
KERNEL krn_shared_dynamic(uint* out, uint words, uint seed) {
  extern __shared__ uint shared[];
  use_shared(shared, words, shared, out, words, seed);
}
KERNEL krn_shared_static(uint* out, uint words, uint seed) {
  extern __shared__ uint dynamic[];
  __shared__ uint shared[256];
  use_shared(shared, 256, dynamic, out, words, seed);
}

KERNEL krn_barrier(uint* out, uint rounds) {
  extern __shared__ uint shared[];
  const uint n = (uint)block_threads();
  const uint t = (uint)thread_in_block();
  uint* now = shared;
  uint* next = shared + n;
  now[t] = t * t;
  __syncthreads();
  for (uint round = 0; round < rounds; ++round) {
    next[t] = now[(t + 1) % n] + 1;
    __syncthreads();
    uint* const swap = now;
    now = next;
    next = swap;
  }
  out[block_number() * n + t] = now[t];
}

// ---- blocks that meet ----

// Comes back when all `together` blocks of the set have come as often as this one, or after some 20 s.
FN void meet(uint* arrived, uint together) {
  __threadfence();
  const uint target = (atomicAdd(arrived, 1u) / together + 1) * together;
  const ulong start = TICKS();
  while (load_word(arrived) < target && TICKS() - start < TICKS_OF_20_SECONDS) {
  }
  __threadfence();
}
KERNEL krn_meet(volatile uint* values, uint* arrived, uint together, uint rounds) {
  if (thread_in_block() != 0) return;
  const uint own = (uint)block_number(), first = own / together * together;
  const uint next = first + (own - first + 1) % together;
  volatile uint* now = values;
  volatile uint* then = values + block_count();
  now[own] = own * own;
  meet(arrived + own / together, together);
  for (uint round = 0; round < rounds; ++round) {
    then[own] = now[next] + 1;
    meet(arrived + own / together, together);
    volatile uint* const swap = now;
    now = then;
    then = swap;
  }
}

// ---- atomics ----

template <typename T>
FN T increment(T* word) {
  T old = *(volatile T*)word;
  for (;;) {
    const T found = atomicCAS(word, old, old + 1);
    if (found == old) return old;
    old = found;
  }
}
template <typename T>
FN T apply(T* word, T value, uint operation) {
  switch (operation) {
    case 0:
      return atomicAdd(word, value);
    case 1:
      return atomicMin(word, value);
    case 2:
      return atomicMax(word, value);
    case 3:
      return atomicAnd(word, value);
    case 4:
      return atomicOr(word, value);
    case 5:
      return atomicXor(word, value);
    case 6:
      return atomicExch(word, value);
    default:
      return increment(word);
  }
}
KERNEL krn_atomic_u32(uint* word, uint* found, const uint* values, uint operation) {
  const ulong i = thread_number();
  found[i] = apply(word, values[i], operation);
}
KERNEL krn_atomic_u64(ulong* word, ulong* found, const ulong* values, uint operation) {
  const ulong i = thread_number();
  found[i] = apply(word, values[i], operation);
}

// By exchange of their bits: devices before compute capability 6.0 add no double.
KERNEL krn_atomic_f32(uint* word, float* found, const float* values, uint operation) {
  const ulong i = thread_number();
  uint old = *(volatile uint*)word;
  for (;;) {
    const uint seen = atomicCAS(word, old, __float_as_uint(__uint_as_float(old) + values[i]));
    if (seen == old) return;
    old = seen;
  }
}
KERNEL krn_atomic_f64(ulong* word, double* found, const double* values, uint operation) {
  const ulong i = thread_number();
  ulong old = *(volatile ulong*)word;
  for (;;) {
    const double sum = __longlong_as_double((long long)old) + values[i];
    const ulong seen = atomicCAS(word, old, (ulong)__double_as_longlong(sum));
    if (seen == old) return;
    old = seen;
  }
}

// ---- control flow ----

FN uint diverge(uint i, uint nested) {
  uint value = i;
  if (i % 2 == 0) {
    value += 100;
    if (nested != 0 && i % 3 == 0) {
      for (uint k = 0; k < i % 37; ++k) value = value * 3 + k;
    } else if (nested != 0) {
      value ^= 0x55;
      if (i % 5 == 0) value = ~value;
    }
  } else {
    value *= 7;
    if (nested != 0 && i % 7 < 3) value -= i / 2;
  }
  return value;
}
KERNEL krn_diverge(uint* out, uint count, uint nested) {
  const ulong i = thread_number();
  if (i < count) out[i] = diverge((uint)i, nested);
}

// Kernels for the cases on launches: see ../krn.c.
__kernel void krn_echo(char i8, __global ulong* out, flagos_float16_t f16, uchar u8, long i64,
                       short i16, double f64, flagos_bool_t boolean, uint u32,
                       flagos_bfloat16_t bf16, ulong u64, ushort u16, float f32, int i32,
                       flagos_address_t address) {
  out[0] = (uchar)i8;
  out[1] = f16;
  out[2] = u8;
  out[3] = (ulong)i64;
  out[4] = (ushort)i16;
  out[5] = as_ulong(f64);
  out[6] = boolean;
  out[7] = u32;
  out[8] = bf16;
  out[9] = u64;
  out[10] = u16;
  out[11] = as_uint(f32);
  out[12] = (uint)i32;
  out[13] = address;
}

#define KRN_BYTES(size)                                                                      \
  struct krn_bytes_##size##_t {                                                              \
    uchar bytes[size];                                                                       \
  };                                                                                         \
  __kernel void krn_bytes_##size(__global uchar* out, uchar lead,                            \
                                 struct krn_bytes_##size##_t value, uint tail) {             \
    for (int i = 0; i < size; ++i) out[i] = value.bytes[i];                                  \
    out[size] = lead;                                                                        \
    for (int i = 0; i < 4; ++i) out[size + 1 + i] = (uchar)(tail >> (8 * i));                \
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
__kernel void krn_many_64(__global uint* out EACH_64(WORD, 0, 0, 1, 2, 3)) {
  EACH_64(STORE, 0, 0, 1, 2, 3)
}
__kernel void krn_many_128(__global uint* out EACH_64(WORD, 0, 0, 1, 2, 3)
                               EACH_64(WORD, 0, 4, 5, 6, 7)) {
  EACH_64(STORE, 0, 0, 1, 2, 3)
  EACH_64(STORE, 0, 4, 5, 6, 7)
}
__kernel void krn_many_1022(__global uint* out EACH_1022(WORD)) { EACH_1022(STORE) }

__kernel void krn_gaps(uchar a, ulong b, uchar c, uint d, ushort e, __global ulong* out, uchar f) {
  out[0] = a;
  out[1] = b;
  out[2] = c;
  out[3] = d;
  out[4] = e;
  out[5] = f;
}

// ---- indices ----

__kernel void krn_ids(__global uint* rows, volatile __global uint* counts) {
  const ulong i = thread_number();
  for (uint k = 0; k < 3; ++k) {
    rows[6 * i + k] = (uint)get_group_id(k);
    rows[6 * i + 3 + k] = (uint)get_local_id(k);
  }
  atomic_inc(&counts[i]);
}

__kernel void krn_count(volatile __global ulong* counter) { atom_add(counter, 1ul); }

__kernel void krn_append(__global uint* log, uint value) {
  log[1 + log[0]] = value;
  ++log[0];
}

// ---- shared memory and barriers ----

uint shared_word(uint seed, ulong number, uint i) {
  return (seed + (uint)number) * 2654435761u + i * 40503u;
}
void use_shared(__local uint* shared, __global uint* out, uint words, uint seed) {
  const ulong number = block_number();
  const uint threads = (uint)block_threads();
  for (uint i = (uint)thread_in_block(); i < words; i += threads)
    shared[i] = shared_word(seed, number, i);
  barrier(CLK_LOCAL_MEM_FENCE);
  if (thread_in_block() != 0) return;
  uint sum = 0, wrong = 0;
  for (uint i = words; i-- > 0;) {
    sum += shared[i];
    wrong += shared[i] != shared_word(seed, number, i);
  }
  out[number] = sum;
  out[block_count() + number] = wrong;
}
__kernel void krn_shared_dynamic(__global uint* out, uint words, uint seed,
                                 __local uint* shared) {
  use_shared(shared, out, words, seed);
}
__kernel void krn_shared_static(__global uint* out, uint words, uint seed) {
  __local uint shared[256];
  use_shared(shared, out, words, seed);
}

__kernel void krn_barrier(__global uint* out, uint rounds, __local uint* shared) {
  const uint n = (uint)block_threads();
  const uint t = (uint)thread_in_block();
  __local uint* now = shared;
  __local uint* next = shared + n;
  now[t] = t * t;
  barrier(CLK_LOCAL_MEM_FENCE);
  for (uint round = 0; round < rounds; ++round) {
    next[t] = now[(t + 1) % n] + 1;
    barrier(CLK_LOCAL_MEM_FENCE);
    __local uint* const swap = now;
    now = next;
    next = swap;
  }
  out[block_number() * n + t] = now[t];
}

// ---- atomics ----

#define KRN_ATOMIC(type, suffix, prefix)                                                        \
  type increment_##suffix(volatile __global type* word) {                                       \
    type old = *word;                                                                           \
    for (;;) {                                                                                  \
      const type found = prefix##_cmpxchg(word, old, old + 1);                                  \
      if (found == old) return old;                                                             \
      old = found;                                                                              \
    }                                                                                           \
  }                                                                                             \
  type apply_##suffix(volatile __global type* word, type value, uint operation) {               \
    switch (operation) {                                                                        \
      case 0:                                                                                   \
        return prefix##_add(word, value);                                                       \
      case 1:                                                                                   \
        return prefix##_min(word, value);                                                       \
      case 2:                                                                                   \
        return prefix##_max(word, value);                                                       \
      case 3:                                                                                   \
        return prefix##_and(word, value);                                                       \
      case 4:                                                                                   \
        return prefix##_or(word, value);                                                        \
      case 5:                                                                                   \
        return prefix##_xor(word, value);                                                       \
      case 6:                                                                                   \
        return prefix##_xchg(word, value);                                                      \
      default:                                                                                  \
        return increment_##suffix(word);                                                        \
    }                                                                                           \
  }                                                                                             \
  __kernel void krn_atomic_##suffix(volatile __global type* word, __global type* found,         \
                                    __global const type* values, uint operation) {              \
    const ulong i = thread_number();                                                            \
    found[i] = apply_##suffix(word, values[i], operation);                                      \
  }
KRN_ATOMIC(uint, u32, atomic)
KRN_ATOMIC(ulong, u64, atom)

#define KRN_ATOMIC_FLOAT(type, bits, suffix, prefix)                                            \
  __kernel void krn_atomic_##suffix(volatile __global bits* word, __global type* found,         \
                                    __global const type* values, uint operation) {              \
    const ulong i = thread_number();                                                            \
    bits old = *word;                                                                           \
    for (;;) {                                                                                  \
      const bits seen = prefix##_cmpxchg(word, old, as_##bits(as_##type(old) + values[i]));     \
      if (seen == old) return;                                                                  \
      old = seen;                                                                               \
    }                                                                                           \
  }
KRN_ATOMIC_FLOAT(float, uint, f32, atomic)
KRN_ATOMIC_FLOAT(double, ulong, f64, atom)

// ---- control flow ----

uint diverge(uint i, uint nested) {
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
__kernel void krn_diverge(__global uint* out, uint count, uint nested) {
  const ulong i = thread_number();
  if (i < count) out[i] = diverge((uint)i, nested);
}

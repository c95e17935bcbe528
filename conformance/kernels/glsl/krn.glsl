#pragma flagos kernel(krn_echo, krn_bytes_1, krn_bytes_2, krn_bytes_3, krn_bytes_7, krn_bytes_16)
#pragma flagos kernel(krn_bytes_33, krn_bytes_256, krn_bytes_4080, krn_many_64, krn_many_128)
#pragma flagos kernel(krn_many_1022, krn_gaps, krn_ids, krn_count, krn_append, krn_shared_dynamic)
#pragma flagos kernel(krn_shared_static, krn_barrier, krn_atomic_u32, krn_atomic_u64, krn_atomic_f32)
#pragma flagos kernel(krn_atomic_f64, krn_diverge)

// ---- arguments ----

#ifdef FLAGOS_KERNEL_krn_echo
// Every parameter as bits, so that no value passes through a register of another kind.
ARGUMENTS {
  int8_t i8;
  Longs result;
  float16_t f16;
  uint8_t u8;
  int64_t i64;
  int16_t i16;
  double f64;
  uint8_t value_bool;
  uint u32;
  uint16_t value_bf16;
  uint64_t u64;
  uint16_t u16;
  float f32;
  int i32;
  Longs value;
} a;
void main() {
  a.result.at[0] = uint64_t(uint8_t(a.i8));
  a.result.at[1] = uint64_t(float16BitsToUint16(a.f16));
  a.result.at[2] = uint64_t(a.u8);
  a.result.at[3] = uint64_t(a.i64);
  a.result.at[4] = uint64_t(uint16_t(a.i16));
  a.result.at[5] = packUint2x32(unpackDouble2x32(a.f64));
  a.result.at[6] = uint64_t(a.value_bool);
  a.result.at[7] = uint64_t(a.u32);
  a.result.at[8] = uint64_t(a.value_bf16);
  a.result.at[9] = a.u64;
  a.result.at[10] = uint64_t(a.u16);
  a.result.at[11] = uint64_t(floatBitsToUint(a.f32));
  a.result.at[12] = uint64_t(uint(a.i32));
  a.result.at[13] = uint64_t(a.value);
}
#endif

#ifdef FLAGOS_KERNEL_krn_bytes_1
#define KRN_BYTES 1
#endif
#ifdef FLAGOS_KERNEL_krn_bytes_2
#define KRN_BYTES 2
#endif
#ifdef FLAGOS_KERNEL_krn_bytes_3
#define KRN_BYTES 3
#endif
#ifdef FLAGOS_KERNEL_krn_bytes_7
#define KRN_BYTES 7
#endif
#ifdef FLAGOS_KERNEL_krn_bytes_16
#define KRN_BYTES 16
#endif
#ifdef FLAGOS_KERNEL_krn_bytes_33
#define KRN_BYTES 33
#endif
#ifdef FLAGOS_KERNEL_krn_bytes_256
#define KRN_BYTES 256
#endif
#ifdef FLAGOS_KERNEL_krn_bytes_4080
#define KRN_BYTES 4080
#endif
#ifdef KRN_BYTES
#if KRN_BYTES > 64
BLOCK_ARGUMENTS { Bytes result; uint8_t lead; uint8_t bytes[KRN_BYTES]; uint tail; } a;
#else
ARGUMENTS { Bytes result; uint8_t lead; uint8_t bytes[KRN_BYTES]; uint tail; } a;
#endif
void main() {
  for (uint i = 0; i < KRN_BYTES; ++i) a.result.at[i] = a.bytes[i];
  a.result.at[KRN_BYTES] = a.lead;
  for (uint i = 0; i < 4; ++i) a.result.at[KRN_BYTES + 1 + i] = uint8_t(a.tail >> (8 * i));
}
#endif

#ifdef FLAGOS_KERNEL_krn_many_64
#define KRN_MANY 64
#endif
#ifdef FLAGOS_KERNEL_krn_many_128
#define KRN_MANY 128
#endif
#ifdef FLAGOS_KERNEL_krn_many_1022
#define KRN_MANY 1022
#endif
#ifdef KRN_MANY
BLOCK_ARGUMENTS { Words result; uint words[KRN_MANY]; } a;
void main() {
  for (uint i = 0; i < KRN_MANY; ++i) a.result.at[i] = a.words[i];
}
#endif

#ifdef FLAGOS_KERNEL_krn_gaps
ARGUMENTS {
  uint8_t a;
  uint64_t b;
  uint8_t c;
  uint d;
  uint16_t e;
  Longs result;
  uint8_t f;
} a;
void main() {
  a.result.at[0] = uint64_t(a.a);
  a.result.at[1] = a.b;
  a.result.at[2] = uint64_t(a.c);
  a.result.at[3] = uint64_t(a.d);
  a.result.at[4] = uint64_t(a.e);
  a.result.at[5] = uint64_t(a.f);
}
#endif

// ---- indices ----

#ifdef FLAGOS_KERNEL_krn_ids
ARGUMENTS { Words rows; Words counts; } a;
void main() {
  const uint i = uint(thread_number());
  for (uint k = 0; k < 3; ++k) {
    a.rows.at[6 * i + k] = gl_WorkGroupID[k];
    a.rows.at[6 * i + 3 + k] = gl_LocalInvocationID[k];
  }
  atomicAdd(a.counts.at[i], 1u);
}
#endif

#ifdef FLAGOS_KERNEL_krn_count
ARGUMENTS { Longs counter; } a;
void main() { atomicAdd(a.counter.at[0], uint64_t(1)); }
#endif

#ifdef FLAGOS_KERNEL_krn_append
ARGUMENTS { Words log; uint value; } a;
void main() {
  if (gl_LocalInvocationIndex != 0) return;
  const uint count = a.log.at[0];
  a.log.at[1 + count] = a.value;
  a.log.at[0] = count + 1;
}
#endif

// ---- shared memory and barriers ----

#if defined(FLAGOS_KERNEL_krn_shared_dynamic) || defined(FLAGOS_KERNEL_krn_shared_static)
ARGUMENTS { Words result; uint words; uint seed; } a;
shared uint dynamic_words[shared_bytes / 4];
#ifdef FLAGOS_KERNEL_krn_shared_static
// 1024 bytes that belong to the kernel; what the launch asks for comes on top.
shared uint static_words[256];
uint get(uint i) { return i < 256 ? static_words[i] : dynamic_words[i - 256]; }
void set(uint i, uint value) {
  if (i < 256) {
    static_words[i] = value;
  } else {
    dynamic_words[i - 256] = value;
  }
}
#else
uint get(uint i) { return dynamic_words[i]; }
void set(uint i, uint value) { dynamic_words[i] = value; }
#endif
uint word_of(uint64_t number, uint i) { return (a.seed + uint(number)) * 2654435761u + i * 40503u; }
void main() {
  const uint64_t number = block_number();
  const uint blocks = gl_NumWorkGroups.x * gl_NumWorkGroups.y * gl_NumWorkGroups.z;
  const uint threads = uint(threads_of());
  for (uint i = gl_LocalInvocationIndex; i < a.words; i += threads) set(i, word_of(number, i));
  barrier();
  if (gl_LocalInvocationIndex != 0) return;
  uint sum = 0;
  uint wrong = 0;
  for (uint i = a.words; i-- > 0;) {
    sum += get(i);
    wrong += get(i) != word_of(number, i) ? 1u : 0u;
  }
  a.result.at[uint(number)] = sum;
  a.result.at[blocks + uint(number)] = wrong;
}
#endif

#ifdef FLAGOS_KERNEL_krn_barrier
ARGUMENTS { Words result; uint rounds; } a;
shared uint words[shared_bytes / 4];
void main() {
  const uint n = uint(threads_of());
  const uint t = gl_LocalInvocationIndex;
  uint now = 0;
  words[t] = t * t;
  barrier();
  for (uint round = 0; round < a.rounds; ++round) {
    words[(n - now) + t] = words[now + (t + 1) % n] + 1;
    now = n - now;
    barrier();
  }
  a.result.at[uint(block_number()) * n + t] = words[now + t];
}
#endif

// ---- atomics ----

#if defined(FLAGOS_KERNEL_krn_atomic_u32) || defined(FLAGOS_KERNEL_krn_atomic_u64)
#ifdef FLAGOS_KERNEL_krn_atomic_u32
#define Numbers Words
#define Number uint
#else
#define Numbers Longs
#define Number uint64_t
#endif
ARGUMENTS { Numbers word; Numbers found; Numbers values; uint operation; } a;
Number increment() {
  Number old = a.word.at[0];
  for (;;) {
    const Number seen = atomicCompSwap(a.word.at[0], old, old + Number(1));
    if (seen == old) return old;
    old = seen;
  }
}
Number apply(Number value) {
  switch (a.operation) {
    case 0:
      return atomicAdd(a.word.at[0], value);
    case 1:
      return atomicMin(a.word.at[0], value);
    case 2:
      return atomicMax(a.word.at[0], value);
    case 3:
      return atomicAnd(a.word.at[0], value);
    case 4:
      return atomicOr(a.word.at[0], value);
    case 5:
      return atomicXor(a.word.at[0], value);
    case 6:
      return atomicExchange(a.word.at[0], value);
    default:
      return increment();
  }
}
void main() {
  const uint i = uint(thread_number());
  a.found.at[i] = apply(a.values.at[i]);
}
#endif

#if defined(FLAGOS_KERNEL_krn_atomic_f32) || defined(FLAGOS_KERNEL_krn_atomic_f64)
#ifdef FLAGOS_KERNEL_krn_atomic_f32
#define Bits Words
#define Numbers Floats
#define Pattern uint
Pattern add(Pattern bits, float value) { return floatBitsToUint(uintBitsToFloat(bits) + value); }
#else
#define Bits Longs
#define Numbers Doubles
#define Pattern uint64_t
Pattern add(Pattern bits, double value) {
  return packUint2x32(unpackDouble2x32(packDouble2x32(unpackUint2x32(bits)) + value));
}
#endif
ARGUMENTS { Bits word; Bits found; Numbers values; uint operation; } a;
void main() {
  const uint i = uint(thread_number());
  Pattern old = a.word.at[0];
  for (;;) {
    const Pattern seen = atomicCompSwap(a.word.at[0], old, add(old, a.values.at[i]));
    if (seen == old) break;
    old = seen;
  }
}
#endif

// ---- control flow ----

#ifdef FLAGOS_KERNEL_krn_diverge
ARGUMENTS { Words result; uint count; uint nested; } a;
uint diverge(uint i) {
  uint value = i;
  if (i % 2 == 0) {
    value += 100;
    if (a.nested != 0 && i % 3 == 0) {
      for (uint k = 0; k < i % 37; ++k) value = value * 3 + k;
    } else if (a.nested != 0) {
      value ^= 0x55;
      if (i % 5 == 0) value = ~value;
    }
  } else {
    value *= 7;
    if (a.nested != 0 && i % 7 < 3) value -= i / 2;
  }
  return value;
}
void main() {
  const uint i = uint(thread_number());
  if (i < a.count) a.result.at[i] = diverge(i);
}
#endif

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
  POINTER(Longs, result);
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
  uint64_t value_address;
} a;
BUFFER(1, Longs, result)
void main() {
  AT(result, 0) = uint64_t(uint8_t(a.i8));
  AT(result, 1) = uint64_t(float16BitsToUint16(a.f16));
  AT(result, 2) = uint64_t(a.u8);
  AT(result, 3) = uint64_t(a.i64);
  AT(result, 4) = uint64_t(uint16_t(a.i16));
  AT(result, 5) = packUint2x32(unpackDouble2x32(a.f64));
  AT(result, 6) = uint64_t(a.value_bool);
  AT(result, 7) = uint64_t(a.u32);
  AT(result, 8) = uint64_t(a.value_bf16);
  AT(result, 9) = a.u64;
  AT(result, 10) = uint64_t(a.u16);
  AT(result, 11) = uint64_t(floatBitsToUint(a.f32));
  AT(result, 12) = uint64_t(uint(a.i32));
  AT(result, 13) = a.value_address;
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
BLOCK_ARGUMENTS { POINTER(Bytes, result); uint8_t lead; uint8_t bytes[KRN_BYTES]; uint tail; } a;
BUFFER(0, Bytes, result)
#else
ARGUMENTS { POINTER(Bytes, result); uint8_t lead; uint8_t bytes[KRN_BYTES]; uint tail; } a;
BUFFER(0, Bytes, result)
#endif
void main() {
  for (uint i = 0; i < KRN_BYTES; ++i) AT(result, i) = a.bytes[i];
  AT(result, KRN_BYTES) = a.lead;
  for (uint i = 0; i < 4; ++i) AT(result, KRN_BYTES + 1 + i) = uint8_t(a.tail >> (8 * i));
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
BLOCK_ARGUMENTS { POINTER(Words, result); uint words[KRN_MANY]; } a;
BUFFER(0, Words, result)
void main() {
  for (uint i = 0; i < KRN_MANY; ++i) AT(result, i) = a.words[i];
}
#endif

#ifdef FLAGOS_KERNEL_krn_gaps
ARGUMENTS {
  uint8_t a;
  uint64_t b;
  uint8_t c;
  uint d;
  uint16_t e;
  POINTER(Longs, result);
  uint8_t f;
} a;
BUFFER(5, Longs, result)
void main() {
  AT(result, 0) = uint64_t(a.a);
  AT(result, 1) = a.b;
  AT(result, 2) = uint64_t(a.c);
  AT(result, 3) = uint64_t(a.d);
  AT(result, 4) = uint64_t(a.e);
  AT(result, 5) = uint64_t(a.f);
}
#endif

// ---- indices ----

#ifdef FLAGOS_KERNEL_krn_ids
ARGUMENTS { POINTER(Words, rows); POINTER(Words, counts); } a;
BUFFER(0, Words, rows)
BUFFER(1, Words, counts)
void main() {
  const uint i = uint(thread_number());
  for (uint k = 0; k < 3; ++k) {
    AT(rows, 6 * i + k) = gl_WorkGroupID[k];
    AT(rows, 6 * i + 3 + k) = gl_LocalInvocationID[k];
  }
  atomicAdd(AT(counts, i), 1u);
}
#endif

#ifdef FLAGOS_KERNEL_krn_count
ARGUMENTS { POINTER(Longs, counter); } a;
BUFFER(0, Longs, counter)
void main() { atomicAdd(AT(counter, 0), uint64_t(1)); }
#endif

#ifdef FLAGOS_KERNEL_krn_append
ARGUMENTS { POINTER(Words, log); uint value; } a;
BUFFER(0, Words, log)
void main() {
  if (gl_LocalInvocationIndex != 0) return;
  const uint count = AT(log, 0);
  AT(log, 1 + count) = a.value;
  AT(log, 0) = count + 1;
}
#endif

// ---- shared memory and barriers ----

#if defined(FLAGOS_KERNEL_krn_shared_dynamic) || defined(FLAGOS_KERNEL_krn_shared_static)
ARGUMENTS { POINTER(Words, result); uint words; uint seed; } a;
BUFFER(0, Words, result)
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
  AT(result, uint(number)) = sum;
  AT(result, blocks + uint(number)) = wrong;
}
#endif

#ifdef FLAGOS_KERNEL_krn_barrier
ARGUMENTS { POINTER(Words, result); uint rounds; } a;
BUFFER(0, Words, result)
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
  AT(result, uint(block_number()) * n + t) = words[now + t];
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
ARGUMENTS { POINTER(Numbers, word); POINTER(Numbers, found); POINTER(Numbers, values); uint operation; } a;
BUFFER(0, Numbers, word)
BUFFER(1, Numbers, found)
BUFFER(2, Numbers, values)
Number increment() {
  Number old = AT(word, 0);
  for (;;) {
    const Number seen = atomicCompSwap(AT(word, 0), old, old + Number(1));
    if (seen == old) return old;
    old = seen;
  }
}
Number apply(Number value) {
  switch (a.operation) {
    case 0:
      return atomicAdd(AT(word, 0), value);
    case 1:
      return atomicMin(AT(word, 0), value);
    case 2:
      return atomicMax(AT(word, 0), value);
    case 3:
      return atomicAnd(AT(word, 0), value);
    case 4:
      return atomicOr(AT(word, 0), value);
    case 5:
      return atomicXor(AT(word, 0), value);
    case 6:
      return atomicExchange(AT(word, 0), value);
    default:
      return increment();
  }
}
void main() {
  const uint i = uint(thread_number());
  AT(found, i) = apply(AT(values, i));
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
ARGUMENTS { POINTER(Bits, word); POINTER(Bits, found); POINTER(Numbers, values); uint operation; } a;
BUFFER(0, Bits, word)
BUFFER(1, Bits, found)
BUFFER(2, Numbers, values)
void main() {
  const uint i = uint(thread_number());
  Pattern old = AT(word, 0);
  for (;;) {
    const Pattern seen = atomicCompSwap(AT(word, 0), old, add(old, AT(values, i)));
    if (seen == old) break;
    old = seen;
  }
}
#endif

// ---- control flow ----

#ifdef FLAGOS_KERNEL_krn_diverge
ARGUMENTS { POINTER(Words, result); uint count; uint nested; } a;
BUFFER(0, Words, result)
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
  if (i < a.count) AT(result, i) = diverge(i);
}
#endif

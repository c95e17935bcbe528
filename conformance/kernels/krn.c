/* Kernels for the cases on launches: arguments of every kind, indices, shared memory, atomics,
 * divergence. */
#include <flagos_cpu_kernel.h>

#include <sched.h>
#include <string.h>
#include <time.h>

/* The index of thread 0 of this block among all threads of the launch, x fastest. */
static uint64_t threads_of(const flagos_cpu_block_t* block) {
  return (uint64_t)block->block[0] * block->block[1] * block->block[2];
}
static uint64_t block_number(const flagos_cpu_block_t* block) {
  const uint64_t row = (uint64_t)block->block_index[2] * block->grid[1] + block->block_index[1];
  return row * block->grid[0] + block->block_index[0];
}

/* ---- arguments ---- */

/* Every scalar type, out of order, so that there is padding. Slot k of the answer is the k-th type,
 * zero-extended. */
typedef struct {
  int8_t i8;
  flagos_address_t out;
  uint16_t f16;
  uint8_t u8;
  int64_t i64;
  int16_t i16;
  double f64;
  uint8_t boolean;
  uint32_t u32;
  uint16_t bf16;
  uint64_t u64;
  uint16_t u16;
  float f32;
  int32_t i32;
  flagos_address_t address;
} krn_echo_arguments;
static const flagos_parameter_t krn_echo_parameters[] = {
    FLAGOS_CPU_PARAMETER(krn_echo_arguments, i8, FLAGOS_DTYPE_INT8),
    FLAGOS_CPU_PARAMETER(krn_echo_arguments, out, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(krn_echo_arguments, f16, FLAGOS_DTYPE_FLOAT16),
    FLAGOS_CPU_PARAMETER(krn_echo_arguments, u8, FLAGOS_DTYPE_UINT8),
    FLAGOS_CPU_PARAMETER(krn_echo_arguments, i64, FLAGOS_DTYPE_INT64),
    FLAGOS_CPU_PARAMETER(krn_echo_arguments, i16, FLAGOS_DTYPE_INT16),
    FLAGOS_CPU_PARAMETER(krn_echo_arguments, f64, FLAGOS_DTYPE_FLOAT64),
    FLAGOS_CPU_PARAMETER(krn_echo_arguments, boolean, FLAGOS_DTYPE_BOOL),
    FLAGOS_CPU_PARAMETER(krn_echo_arguments, u32, FLAGOS_DTYPE_UINT32),
    FLAGOS_CPU_PARAMETER(krn_echo_arguments, bf16, FLAGOS_DTYPE_BFLOAT16),
    FLAGOS_CPU_PARAMETER(krn_echo_arguments, u64, FLAGOS_DTYPE_UINT64),
    FLAGOS_CPU_PARAMETER(krn_echo_arguments, u16, FLAGOS_DTYPE_UINT16),
    FLAGOS_CPU_PARAMETER(krn_echo_arguments, f32, FLAGOS_DTYPE_FLOAT32),
    FLAGOS_CPU_PARAMETER(krn_echo_arguments, i32, FLAGOS_DTYPE_INT32),
    FLAGOS_CPU_PARAMETER(krn_echo_arguments, address, FLAGOS_DTYPE_ADDRESS)};
FLAGOS_CPU_KERNEL(krn_echo, krn_echo_arguments, krn_echo_parameters) {
  uint64_t* out = (uint64_t*)flagos_cpu_pointer(arguments->out);
  (void)block;
  memset(out, 0, 14 * sizeof *out);
  /* In the order of the parameters, `out` left out. The bytes are copied: no value passes through a
   * register. */
  memcpy(&out[0], &arguments->i8, 1);
  memcpy(&out[1], &arguments->f16, 2);
  memcpy(&out[2], &arguments->u8, 1);
  memcpy(&out[3], &arguments->i64, 8);
  memcpy(&out[4], &arguments->i16, 2);
  memcpy(&out[5], &arguments->f64, 8);
  memcpy(&out[6], &arguments->boolean, 1);
  memcpy(&out[7], &arguments->u32, 4);
  memcpy(&out[8], &arguments->bf16, 2);
  memcpy(&out[9], &arguments->u64, 8);
  memcpy(&out[10], &arguments->u16, 2);
  memcpy(&out[11], &arguments->f32, 4);
  memcpy(&out[12], &arguments->i32, 4);
  memcpy(&out[13], &arguments->address, 8);
}

/* A struct by value at an odd offset, between two scalars: out gets the bytes, then lead, then
 * tail. */
#define KRN_BYTES(size)                                                               \
  typedef struct {                                                                    \
    flagos_address_t out;                                                             \
    uint8_t lead;                                                                     \
    uint8_t bytes[size];                                                              \
    uint32_t tail;                                                                    \
  } krn_bytes_##size##_arguments;                                                     \
  static const flagos_parameter_t krn_bytes_##size##_parameters[] = {                 \
      FLAGOS_CPU_PARAMETER(krn_bytes_##size##_arguments, out, FLAGOS_DTYPE_ADDRESS),  \
      FLAGOS_CPU_PARAMETER(krn_bytes_##size##_arguments, lead, FLAGOS_DTYPE_UINT8),   \
      FLAGOS_CPU_PARAMETER(krn_bytes_##size##_arguments, bytes, FLAGOS_DTYPE_BYTES),  \
      FLAGOS_CPU_PARAMETER(krn_bytes_##size##_arguments, tail, FLAGOS_DTYPE_UINT32)}; \
  FLAGOS_CPU_KERNEL(krn_bytes_##size, krn_bytes_##size##_arguments,                   \
                    krn_bytes_##size##_parameters) {                                  \
    uint8_t* out = (uint8_t*)flagos_cpu_pointer(arguments->out);                      \
    (void)block;                                                                      \
    memcpy(out, arguments->bytes, size);                                              \
    memcpy(out + size, &arguments->lead, 1);                                          \
    memcpy(out + size + 1, &arguments->tail, 4);                                      \
  }
KRN_BYTES(1)
KRN_BYTES(2)
KRN_BYTES(3)
KRN_BYTES(7)
KRN_BYTES(16)
KRN_BYTES(33)
KRN_BYTES(256)
KRN_BYTES(4080)

/* Many words; 1022 fill the 4096 bytes that every device takes. */
#define WORD_1(i) \
  { FLAGOS_DTYPE_UINT32, 4, 4, 8 + 4 * (i) }
#define WORD_2(i) WORD_1(i), WORD_1((i) + 1)
#define WORD_4(i) WORD_2(i), WORD_2((i) + 2)
#define WORD_16(i) WORD_4(i), WORD_4((i) + 4), WORD_4((i) + 8), WORD_4((i) + 12)
#define WORD_64(i) WORD_16(i), WORD_16((i) + 16), WORD_16((i) + 32), WORD_16((i) + 48)
#define WORD_256(i) WORD_64(i), WORD_64((i) + 64), WORD_64((i) + 128), WORD_64((i) + 192)
#define KRN_MANY(count, ...)                                                                       \
  typedef struct {                                                                                 \
    flagos_address_t out;                                                                          \
    uint32_t words[count];                                                                         \
  } krn_many_##count##_arguments;                                                                  \
  static const flagos_parameter_t krn_many_##count##_parameters[] = {                              \
      FLAGOS_CPU_PARAMETER(krn_many_##count##_arguments, out, FLAGOS_DTYPE_ADDRESS), __VA_ARGS__}; \
  FLAGOS_CPU_KERNEL(krn_many_##count, krn_many_##count##_arguments,                                \
                    krn_many_##count##_parameters) {                                               \
    (void)block;                                                                                   \
    memcpy(flagos_cpu_pointer(arguments->out), arguments->words, sizeof arguments->words);         \
  }
KRN_MANY(64, WORD_64(0))
KRN_MANY(128, WORD_64(0), WORD_64(64))
KRN_MANY(1022, WORD_256(0), WORD_256(256), WORD_256(512), WORD_64(768), WORD_64(832), WORD_64(896),
         WORD_16(960), WORD_16(976), WORD_16(992), WORD_4(1008), WORD_4(1012), WORD_4(1016),
         WORD_2(1020))

/* Gaps between the members, whose bytes must not matter. */
typedef struct {
  uint8_t a;
  uint64_t b;
  uint8_t c;
  uint32_t d;
  uint16_t e;
  flagos_address_t out;
  uint8_t f;
} krn_gaps_arguments;
static const flagos_parameter_t krn_gaps_parameters[] = {
    FLAGOS_CPU_PARAMETER(krn_gaps_arguments, a, FLAGOS_DTYPE_UINT8),
    FLAGOS_CPU_PARAMETER(krn_gaps_arguments, b, FLAGOS_DTYPE_UINT64),
    FLAGOS_CPU_PARAMETER(krn_gaps_arguments, c, FLAGOS_DTYPE_UINT8),
    FLAGOS_CPU_PARAMETER(krn_gaps_arguments, d, FLAGOS_DTYPE_UINT32),
    FLAGOS_CPU_PARAMETER(krn_gaps_arguments, e, FLAGOS_DTYPE_UINT16),
    FLAGOS_CPU_PARAMETER(krn_gaps_arguments, out, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(krn_gaps_arguments, f, FLAGOS_DTYPE_UINT8)};
FLAGOS_CPU_KERNEL(krn_gaps, krn_gaps_arguments, krn_gaps_parameters) {
  uint64_t* out = (uint64_t*)flagos_cpu_pointer(arguments->out);
  (void)block;
  out[0] = arguments->a;
  out[1] = arguments->b;
  out[2] = arguments->c;
  out[3] = arguments->d;
  out[4] = arguments->e;
  out[5] = arguments->f;
}

/* ---- indices ---- */

/* Thread k of the launch (x fastest, blocks before threads) writes its six indices to row k, and
 * counts itself. */
typedef struct {
  flagos_address_t rows, counts;
} krn_ids_arguments;
static const flagos_parameter_t krn_ids_parameters[] = {
    FLAGOS_CPU_PARAMETER(krn_ids_arguments, rows, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(krn_ids_arguments, counts, FLAGOS_DTYPE_ADDRESS)};
FLAGOS_CPU_KERNEL(krn_ids, krn_ids_arguments, krn_ids_parameters) {
  uint32_t(*rows)[6] = (uint32_t(*)[6])flagos_cpu_pointer(arguments->rows);
  uint32_t* counts = (uint32_t*)flagos_cpu_pointer(arguments->counts);
  uint64_t i = block_number(block) * threads_of(block);
  for (uint32_t z = 0; z < block->block[2]; ++z) {
    for (uint32_t y = 0; y < block->block[1]; ++y) {
      for (uint32_t x = 0; x < block->block[0]; ++x, ++i) {
        const uint32_t row[6] = {
            block->block_index[0], block->block_index[1], block->block_index[2], x, y, z};
        memcpy(rows[i], row, sizeof row);
        __atomic_fetch_add(&counts[i], 1u, __ATOMIC_RELAXED);
      }
    }
  }
}

/* Every thread adds one. */
typedef struct {
  flagos_address_t counter;
} krn_count_arguments;
static const flagos_parameter_t krn_count_parameters[] = {
    FLAGOS_CPU_PARAMETER(krn_count_arguments, counter, FLAGOS_DTYPE_ADDRESS)};
FLAGOS_CPU_KERNEL(krn_count, krn_count_arguments, krn_count_parameters) {
  uint64_t* counter = (uint64_t*)flagos_cpu_pointer(arguments->counter);
  uint64_t count = 0;
  for (uint64_t i = 0; i < threads_of(block); ++i) ++count;
  __atomic_fetch_add(counter, count, __ATOMIC_RELAXED);
}

/* Appends `value` to log: word 0 is the length. Not atomic: the stream orders the launches. */
typedef struct {
  flagos_address_t log;
  uint32_t value;
} krn_append_arguments;
static const flagos_parameter_t krn_append_parameters[] = {
    FLAGOS_CPU_PARAMETER(krn_append_arguments, log, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(krn_append_arguments, value, FLAGOS_DTYPE_UINT32)};
FLAGOS_CPU_KERNEL(krn_append, krn_append_arguments, krn_append_parameters) {
  uint32_t* log = (uint32_t*)flagos_cpu_pointer(arguments->log);
  (void)block;
  log[1 + log[0]] = arguments->value;
  ++log[0];
}

/* ---- shared memory and barriers ---- */

/* Every block fills `words` words of its shared memory with a pattern of its own, behind a barrier
   reads them backwards, and adds up what is wrong. out[block] = sum of all words, out[blocks +
   block] = words that are wrong. */
typedef struct {
  flagos_address_t out;
  uint32_t words, seed;
} krn_shared_arguments;
static const flagos_parameter_t krn_shared_parameters[] = {
    FLAGOS_CPU_PARAMETER(krn_shared_arguments, out, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(krn_shared_arguments, words, FLAGOS_DTYPE_UINT32),
    FLAGOS_CPU_PARAMETER(krn_shared_arguments, seed, FLAGOS_DTYPE_UINT32)};

static uint32_t shared_word(uint32_t seed, uint64_t number, uint32_t i) {
  return (seed + (uint32_t)number) * 2654435761u + i * 40503u;
}
static void use_shared(const flagos_cpu_block_t* block, const krn_shared_arguments* arguments) {
  uint32_t* shared = (uint32_t*)block->shared;
  uint32_t* out = (uint32_t*)flagos_cpu_pointer(arguments->out);
  const uint64_t number = block_number(block);
  const uint64_t blocks = (uint64_t)block->grid[0] * block->grid[1] * block->grid[2];
  for (uint32_t i = 0; i < arguments->words; ++i)
    shared[i] = shared_word(arguments->seed, number, i);
  uint32_t sum = 0;
  uint32_t wrong = 0;
  for (uint32_t i = arguments->words; i-- > 0;) {
    sum += shared[i];
    wrong += shared[i] != shared_word(arguments->seed, number, i);
  }
  out[number] = sum;
  out[blocks + number] = wrong;
}
FLAGOS_CPU_KERNEL(krn_shared_dynamic, krn_shared_arguments, krn_shared_parameters) {
  use_shared(block, arguments);
}
/* 1024 bytes that belong to the kernel; what the launch asks for comes on top. */
FLAGOS_CPU_KERNEL_WITH(krn_shared_static, krn_shared_arguments, krn_shared_parameters, 3,
                       (uint32_t)sizeof(krn_shared_arguments), 1024) {
  use_shared(block, arguments);
}

/* Each round every thread takes its right neighbour's word plus one, behind a barrier. Shared: two
 * words a thread. */
typedef struct {
  flagos_address_t out;
  uint32_t rounds;
} krn_barrier_arguments;
static const flagos_parameter_t krn_barrier_parameters[] = {
    FLAGOS_CPU_PARAMETER(krn_barrier_arguments, out, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(krn_barrier_arguments, rounds, FLAGOS_DTYPE_UINT32)};
FLAGOS_CPU_KERNEL(krn_barrier, krn_barrier_arguments, krn_barrier_parameters) {
  const uint32_t n = (uint32_t)threads_of(block);
  uint32_t* now = (uint32_t*)block->shared;
  uint32_t* next = now + n;
  uint32_t* out = (uint32_t*)flagos_cpu_pointer(arguments->out) + block_number(block) * n;
  for (uint32_t t = 0; t < n; ++t) now[t] = t * t;
  for (uint32_t round = 0; round < arguments->rounds; ++round) {
    for (uint32_t t = 0; t < n; ++t) next[t] = now[(t + 1) % n] + 1;
    uint32_t* const swap = now;
    now = next;
    next = swap;
  }
  for (uint32_t t = 0; t < n; ++t) out[t] = now[t];
}

/* ---- blocks that meet ---- */

/* Blocks stand together in sets of `together` neighbours. In every round a block takes over its neighbour's number and adds
 * one; between rounds all of a set meet. `values` has two words a block, `arrived` one a set. */
typedef struct {
  flagos_address_t values, arrived;
  uint32_t together, rounds;
} krn_meet_arguments;
static const flagos_parameter_t krn_meet_parameters[] = {
    FLAGOS_CPU_PARAMETER(krn_meet_arguments, values, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(krn_meet_arguments, arrived, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(krn_meet_arguments, together, FLAGOS_DTYPE_UINT32),
    FLAGOS_CPU_PARAMETER(krn_meet_arguments, rounds, FLAGOS_DTYPE_UINT32)};
/* Comes back when all of the set have come as often as this one, or after 20 s. */
static void meet(uint32_t* arrived, uint32_t together) {
  const uint32_t target =
      (__atomic_fetch_add(arrived, 1, __ATOMIC_ACQ_REL) / together + 1) * together;
  const time_t start = time(NULL);
  while (__atomic_load_n(arrived, __ATOMIC_ACQUIRE) < target && time(NULL) - start <= 20)
    sched_yield();
}
FLAGOS_CPU_KERNEL(krn_meet, krn_meet_arguments, krn_meet_parameters) {
  uint32_t* now = (uint32_t*)flagos_cpu_pointer(arguments->values);
  uint32_t* then = now + (uint64_t)block->grid[0] * block->grid[1] * block->grid[2];
  const uint32_t together = arguments->together;
  const uint32_t own = (uint32_t)block_number(block), first = own / together * together;
  const uint32_t next = first + (own - first + 1) % together;
  uint32_t* arrived = (uint32_t*)flagos_cpu_pointer(arguments->arrived) + own / together;
  now[own] = own * own;
  meet(arrived, together);
  for (uint32_t round = 0; round < arguments->rounds; ++round) {
    then[own] = now[next] + 1;
    meet(arrived, together);
    uint32_t* const swap = now;
    now = then;
    then = swap;
  }
}

/* ---- atomics ---- */

/* Thread i applies `operation` with a value of its own to one word, and keeps what it found.
   Operations: 0 add, 1 min, 2 max, 3 and, 4 or, 5 xor, 6 exchange, 7 compare and exchange (adds
   one). */
typedef struct {
  flagos_address_t word, found, values;
  uint32_t operation;
} krn_atomic_arguments;
static const flagos_parameter_t krn_atomic_parameters[] = {
    FLAGOS_CPU_PARAMETER(krn_atomic_arguments, word, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(krn_atomic_arguments, found, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(krn_atomic_arguments, values, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(krn_atomic_arguments, operation, FLAGOS_DTYPE_UINT32)};
#define KRN_ATOMIC(type, suffix)                                                                  \
  static type extreme_##suffix(type* word, type value, int larger) {                              \
    type old = __atomic_load_n(word, __ATOMIC_RELAXED);                                           \
    while (                                                                                       \
        (larger ? value > old : value < old) &&                                                   \
        !__atomic_compare_exchange_n(word, &old, value, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) { \
    }                                                                                             \
    return old;                                                                                   \
  }                                                                                               \
  static type increment_##suffix(type* word) {                                                    \
    type old = __atomic_load_n(word, __ATOMIC_RELAXED);                                           \
    while (!__atomic_compare_exchange_n(word, &old, old + 1, 0, __ATOMIC_RELAXED,                 \
                                        __ATOMIC_RELAXED)) {                                      \
    }                                                                                             \
    return old;                                                                                   \
  }                                                                                               \
  static type apply_##suffix(type* word, type value, uint32_t operation) {                        \
    switch (operation) {                                                                          \
      case 0:                                                                                     \
        return __atomic_fetch_add(word, value, __ATOMIC_RELAXED);                                 \
      case 1:                                                                                     \
        return extreme_##suffix(word, value, 0);                                                  \
      case 2:                                                                                     \
        return extreme_##suffix(word, value, 1);                                                  \
      case 3:                                                                                     \
        return __atomic_fetch_and(word, value, __ATOMIC_RELAXED);                                 \
      case 4:                                                                                     \
        return __atomic_fetch_or(word, value, __ATOMIC_RELAXED);                                  \
      case 5:                                                                                     \
        return __atomic_fetch_xor(word, value, __ATOMIC_RELAXED);                                 \
      case 6:                                                                                     \
        return __atomic_exchange_n(word, value, __ATOMIC_RELAXED);                                \
      default:                                                                                    \
        return increment_##suffix(word);                                                          \
    }                                                                                             \
  }                                                                                               \
  FLAGOS_CPU_KERNEL(krn_atomic_##suffix, krn_atomic_arguments, krn_atomic_parameters) {           \
    type* word = (type*)flagos_cpu_pointer(arguments->word);                                      \
    type* found = (type*)flagos_cpu_pointer(arguments->found);                                    \
    const type* values = (const type*)flagos_cpu_pointer(arguments->values);                      \
    const uint64_t first = block_number(block) * threads_of(block);                               \
    for (uint64_t i = first; i < first + threads_of(block); ++i) {                                \
      found[i] = apply_##suffix(word, values[i], arguments->operation);                           \
    }                                                                                             \
  }
KRN_ATOMIC(uint32_t, u32)
KRN_ATOMIC(uint64_t, u64)

/* Every thread adds values[i] to one number, by compare and exchange. */
#define KRN_ATOMIC_FLOAT(type, bits, suffix)                                                      \
  FLAGOS_CPU_KERNEL(krn_atomic_##suffix, krn_atomic_arguments, krn_atomic_parameters) {           \
    bits* word = (bits*)flagos_cpu_pointer(arguments->word);                                      \
    const type* values = (const type*)flagos_cpu_pointer(arguments->values);                      \
    const uint64_t first = block_number(block) * threads_of(block);                               \
    for (uint64_t i = first; i < first + threads_of(block); ++i) {                                \
      bits old = __atomic_load_n(word, __ATOMIC_RELAXED);                                         \
      bits next;                                                                                  \
      do {                                                                                        \
        type sum;                                                                                 \
        memcpy(&sum, &old, sizeof sum);                                                           \
        sum += values[i];                                                                         \
        memcpy(&next, &sum, sizeof sum);                                                          \
      } while (                                                                                   \
          !__atomic_compare_exchange_n(word, &old, next, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)); \
    }                                                                                             \
  }
KRN_ATOMIC_FLOAT(float, uint32_t, f32)
KRN_ATOMIC_FLOAT(double, uint64_t, f64)

/* ---- control flow ---- */

/* Branches inside branches and a loop whose length differs from thread to thread. */
typedef struct {
  flagos_address_t out;
  uint32_t count, nested;
} krn_diverge_arguments;
static const flagos_parameter_t krn_diverge_parameters[] = {
    FLAGOS_CPU_PARAMETER(krn_diverge_arguments, out, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(krn_diverge_arguments, count, FLAGOS_DTYPE_UINT32),
    FLAGOS_CPU_PARAMETER(krn_diverge_arguments, nested, FLAGOS_DTYPE_UINT32)};
static uint32_t diverge(uint32_t i, uint32_t nested) {
  uint32_t value = i;
  if (i % 2 == 0) {
    value += 100;
    if (nested != 0 && i % 3 == 0) {
      for (uint32_t k = 0; k < i % 37; ++k) value = value * 3 + k;
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
FLAGOS_CPU_KERNEL(krn_diverge, krn_diverge_arguments, krn_diverge_parameters) {
  uint32_t* out = (uint32_t*)flagos_cpu_pointer(arguments->out);
  const uint64_t first = block_number(block) * threads_of(block);
  for (uint64_t i = first; i < first + threads_of(block) && i < arguments->count; ++i) {
    out[i] = diverge((uint32_t)i, arguments->nested);
  }
}

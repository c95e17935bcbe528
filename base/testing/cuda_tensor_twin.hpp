// What a host gives to printed CUDA C++ for tensor cores and asynchronous copies: one function an instruction, after the
// description of the PTX instructions, on nothing but threadIdx and __shfl_sync. It is pasted before printed text by twins of
// the language, behind what they define of it, and includes nothing.
#define FLAGOS_CUDA_TWIN 1

// ldmatrix: lanes 0 to 7 name the rows of the first matrix of 8 x 8 halves, 8 to 15 those of the second, and so on. A lane
// gets two neighbours of row lane / 4, or with trans of column lane / 4.
template <int count>
static inline void tc_twin_load(unsigned* x, const void* row, bool trans) {
  const unsigned lane = threadIdx.x % 32;
  for (int i = 0; i < count; ++i) {
    const unsigned long long mine = (unsigned long long)row;
    if (!trans) {
      const auto* at = (const unsigned short*)__shfl_sync(0xffffffffu, mine, i * 8 + (int)(lane / 4)) + lane % 4 * 2;
      x[i] = at[0] | (unsigned)at[1] << 16;
    } else {
      const int first = i * 8 + (int)(lane % 4 * 2);
      const auto* upper = (const unsigned short*)__shfl_sync(0xffffffffu, mine, first);
      const auto* lower = (const unsigned short*)__shfl_sync(0xffffffffu, mine, first + 1);
      x[i] = upper[lane / 4] | (unsigned)lower[lane / 4] << 16;
    }
  }
}
static inline void tc_load4(unsigned* x, const void* row) { tc_twin_load<4>(x, row, false); }
static inline void tc_load4_trans(unsigned* x, const void* row) { tc_twin_load<4>(x, row, true); }
static inline void tc_load2(unsigned* x, const void* row) { tc_twin_load<2>(x, row, false); }
static inline void tc_load2_trans(unsigned* x, const void* row) { tc_twin_load<2>(x, row, true); }

static inline float tc_twin_f32(unsigned bits) {
  float value;
  __builtin_memcpy(&value, &bits, 4);
  return value;
}
static inline float tc_twin_bf16(unsigned bits) { return tc_twin_f32(bits << 16); }
static inline float tc_twin_f16(unsigned bits) {
  const unsigned sign = (bits & 0x8000u) << 16, exponent = bits >> 10 & 31u, fraction = bits & 0x3ffu;
  if (exponent == 0) return (sign ? -1.0f : 1.0f) * (float)fraction * 0x1p-24f;
  return tc_twin_f32(sign | (exponent == 31 ? 0x7f800000u : (exponent + 112u) << 23) | fraction << 13);
}
static inline float tc_twin_e5m2(unsigned bits) { return tc_twin_f16(bits << 8); }
static inline float tc_twin_e4m3(unsigned bits) {
  const unsigned sign = (bits & 0x80u) << 24, exponent = bits >> 3 & 15u, fraction = bits & 7u;
  if (exponent == 0) return (sign ? -1.0f : 1.0f) * (float)fraction * 0x1p-9f;
  if ((bits & 0x7fu) == 0x7fu) return tc_twin_f32(0x7fc00000u);
  return tc_twin_f32(sign | (exponent + 120u) << 23 | fraction << 20);
}
// The last 13 bits are not looked at; tc_tf32 rounds to what is.
static inline float tc_twin_tf32(unsigned bits) { return tc_twin_f32(bits & 0xffffe000u); }
static inline unsigned tc_tf32(unsigned bits) {
  if ((bits & 0x7f800000u) == 0x7f800000u) return bits & 0x7fffffu ? 0x7fffe000u : bits;
  return (bits + 0x1000u) & 0xffffe000u;
}
static inline int tc_twin_s8(unsigned bits) { return (signed char)bits; }
static inline int tc_twin_u8(unsigned bits) { return (int)bits; }

// mma.m16n8 of eight words of depth, each of one to four numbers: lane = 4 * group + member. Register i of a holds row
// group + 8 * (i % 2), word member + 4 * (i / 2); register i of b word member + 4 * i, column group; number i of d row
// group + 8 * (i / 2), column 2 * member + i % 2.
template <int bits, auto number, typename Sum>
static inline void tc_twin_mma(Sum* d, const unsigned* a, const unsigned* b) {
  constexpr unsigned mask = 0xffffffffu >> (32 - bits);
  const unsigned lane = threadIdx.x % 32;
  Sum sums[4] = {d[0], d[1], d[2], d[3]};
  for (int word = 0; word < 8; ++word) {
    unsigned rows[2], columns[2];
    for (int i = 0; i < 2; ++i) {
      rows[i] = __shfl_sync(0xffffffffu, a[i + word / 4 * 2], (int)(lane / 4 * 4) + word % 4);
      columns[i] = __shfl_sync(0xffffffffu, b[word / 4], (int)(lane % 4 * 2 + (unsigned)i) * 4 + word % 4);
    }
    for (int i = 0; i < 4; ++i)
      for (int at = 0; at < 32; at += bits)
        sums[i] += number(rows[i / 2] >> at & mask) * number(columns[i % 2] >> at & mask);
  }
  for (int i = 0; i < 4; ++i) d[i] = sums[i];
}
#define TC_TWIN_MMA(name, bits, Sum)                                               \
  static inline void tc_mma_##name(Sum* d, const unsigned* a, const unsigned* b) { \
    tc_twin_mma<bits, tc_twin_##name>(d, a, b);                                    \
  }
TC_TWIN_MMA(f16, 16, float)
TC_TWIN_MMA(bf16, 16, float)
TC_TWIN_MMA(tf32, 32, float)
TC_TWIN_MMA(s8, 8, int)
TC_TWIN_MMA(u8, 8, int)
TC_TWIN_MMA(e4m3, 8, float)
TC_TWIN_MMA(e5m2, 8, float)

// A copy happens when it is waited for, not before: who does not wait sees what was there. The group of a copy is the number of
// commits before it.
struct tc_twin_copy {
  void* local;
  const void* global;
  unsigned group;
};
// Where several threads of the system run blocks, each has its own.
#ifndef TC_TWIN_STORAGE
#define TC_TWIN_STORAGE static
#endif
TC_TWIN_STORAGE tc_twin_copy tc_twin_copies[1024][256];
TC_TWIN_STORAGE unsigned tc_twin_count[1024], tc_twin_groups[1024];
static inline void tc_copy16(void* local, const void* global) {
  const unsigned t = threadIdx.x;
  if (tc_twin_count[t] == 256 || ((unsigned long long)local | (unsigned long long)global) % 16 != 0) __builtin_trap();
  tc_twin_copies[t][tc_twin_count[t]++] = {local, global, tc_twin_groups[t]};
}
static inline void tc_commit() { ++tc_twin_groups[threadIdx.x]; }
// Those of groups below `end`; the others stay, in their order.
static inline void tc_twin_wait(unsigned end) {
  const unsigned t = threadIdx.x;
  unsigned left = 0;
  for (unsigned i = 0; i < tc_twin_count[t]; ++i) {
    const tc_twin_copy copy = tc_twin_copies[t][i];
    if (copy.group < end) {
      __builtin_memcpy(copy.local, copy.global, 16);
    } else {
      tc_twin_copies[t][left++] = copy;
    }
  }
  tc_twin_count[t] = left;
}
template <int groups>
static inline void tc_wait_but() {
  const unsigned committed = tc_twin_groups[threadIdx.x];
  tc_twin_wait(committed > groups ? committed - groups : 0);
}
// Of all, committed or not.
static inline void tc_wait() { tc_twin_wait(~0u); }

// CUDA C++ as far as kernels of this project use it, for the host's compiler. Nothing is included: every kernel's text
// begins with this, and headers would cost more than the kernel. __global__, __launch_bounds__ and __shared__ are no macros:
// the fake of NVRTC reads them, see kernel_text.cpp.
typedef decltype(sizeof(0)) size_t;
typedef flagos_fake_dim3 uint3;
typedef flagos_fake_dim3 dim3;

static thread_local flagos_fake_thread* flagos_fake_now;

#define __CUDACC__ 1
#define __CUDACC_RTC__ 1
#define __CUDA_ARCH__ 800
#define __device__ __attribute__((visibility("default")))
#define __constant__ __attribute__((visibility("default")))
#define __host__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __restrict__ __restrict
#define __align__(n) __attribute__((aligned(n)))
#define threadIdx (flagos_fake_now->thread)
#define blockIdx (flagos_fake_now->block)
#define blockDim (flagos_fake_now->block_dim)
#define gridDim (flagos_fake_now->grid_dim)
#define warpSize 32

// ---- barriers and warps ----

static inline void __syncthreads() { flagos_fake_now->wait(flagos_fake_now, 0); }
static inline void __syncwarp(unsigned = 0xffffffffu) { flagos_fake_now->wait(flagos_fake_now, 1); }
static inline void __threadfence_block() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
static inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
static inline void __threadfence_system() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
static inline void __trap() { flagos_fake_now->trap(flagos_fake_now, 719); }

template <typename T>
static inline T flagos_fake_shuffle(T value, unsigned from) {
  flagos_fake_thread* self = flagos_fake_now;
  static_assert(sizeof(T) <= 8, "a shuffle takes up to 8 bytes");
  __builtin_memcpy(&self->exchange[self->lane], &value, sizeof(T));
  self->wait(self, 1);
  T other;
  __builtin_memcpy(&other, &self->exchange[from & 31], sizeof(T));
  self->wait(self, 1);
  return other;
}
template <typename T>
static inline T __shfl_sync(unsigned, T value, int from, int width = 32) {
  const unsigned lane = flagos_fake_now->lane;
  return flagos_fake_shuffle(
      value, (lane & ~(unsigned)(width - 1)) + ((unsigned)from & (unsigned)(width - 1)));
}
template <typename T>
static inline T __shfl_xor_sync(unsigned, T value, int mask, int width = 32) {
  const unsigned lane = flagos_fake_now->lane, from = lane ^ (unsigned)mask;
  return flagos_fake_shuffle(value, from / (unsigned)width == lane / (unsigned)width ? from : lane);
}
template <typename T>
static inline T __shfl_down_sync(unsigned, T value, unsigned distance, int width = 32) {
  const unsigned lane = flagos_fake_now->lane;
  return flagos_fake_shuffle(
      value, lane % (unsigned)width + distance < (unsigned)width ? lane + distance : lane);
}
template <typename T>
static inline T __shfl_up_sync(unsigned, T value, unsigned distance, int width = 32) {
  const unsigned lane = flagos_fake_now->lane;
  return flagos_fake_shuffle(value, lane % (unsigned)width >= distance ? lane - distance : lane);
}
static inline unsigned __ballot_sync(unsigned mask, int predicate) {
  flagos_fake_thread* self = flagos_fake_now;
  self->exchange[self->lane] = predicate ? 1 : 0;
  const unsigned present = self->wait(self, 1);
  unsigned votes = 0;
  for (unsigned i = 0; i < 32; ++i)
    if ((mask & present) >> i & 1) votes |= (unsigned)(self->exchange[i] & 1) << i;
  self->wait(self, 1);
  return votes;
}
static inline int __any_sync(unsigned mask, int predicate) {
  return __ballot_sync(mask, predicate) != 0;
}
static inline int __all_sync(unsigned mask, int predicate) {
  return __ballot_sync(mask, !predicate) == 0;
}

// ---- atomics ----

#define FLAGOS_FAKE_INTEGERS(do) \
  do (int)do(unsigned) do(long long) do(unsigned long long)
#define FLAGOS_FAKE_ATOMICS(T)                                                                   \
  static inline T atomicAdd(volatile T* p, T x) {                                                \
    return __atomic_fetch_add(p, x, __ATOMIC_SEQ_CST);                                           \
  }                                                                                              \
  static inline T atomicSub(volatile T* p, T x) {                                                \
    return __atomic_fetch_sub(p, x, __ATOMIC_SEQ_CST);                                           \
  }                                                                                              \
  static inline T atomicAnd(volatile T* p, T x) {                                                \
    return __atomic_fetch_and(p, x, __ATOMIC_SEQ_CST);                                           \
  }                                                                                              \
  static inline T atomicOr(volatile T* p, T x) {                                                 \
    return __atomic_fetch_or(p, x, __ATOMIC_SEQ_CST);                                            \
  }                                                                                              \
  static inline T atomicXor(volatile T* p, T x) {                                                \
    return __atomic_fetch_xor(p, x, __ATOMIC_SEQ_CST);                                           \
  }                                                                                              \
  static inline T atomicExch(volatile T* p, T x) {                                               \
    return __atomic_exchange_n(p, x, __ATOMIC_SEQ_CST);                                          \
  }                                                                                              \
  static inline T atomicCAS(volatile T* p, T old, T now) {                                       \
    __atomic_compare_exchange_n(p, &old, now, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);        \
    return old;                                                                                  \
  }                                                                                              \
  static inline T atomicMin(volatile T* p, T x) {                                                \
    T old = *p;                                                                                  \
    while (x < old &&                                                                            \
           !__atomic_compare_exchange_n(p, &old, x, true, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) { \
    }                                                                                            \
    return old;                                                                                  \
  }                                                                                              \
  static inline T atomicMax(volatile T* p, T x) {                                                \
    T old = *p;                                                                                  \
    while (x > old &&                                                                            \
           !__atomic_compare_exchange_n(p, &old, x, true, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) { \
    }                                                                                            \
    return old;                                                                                  \
  }
FLAGOS_FAKE_INTEGERS(FLAGOS_FAKE_ATOMICS)
#define FLAGOS_FAKE_FLOAT_ADD(T, Bits)                                                            \
  static inline T atomicAdd(volatile T* p, T x) {                                                 \
    volatile Bits* bits = (volatile Bits*)p;                                                      \
    Bits old = *bits, now;                                                                        \
    T value;                                                                                      \
    do {                                                                                          \
      __builtin_memcpy(&value, &old, sizeof(T));                                                  \
      const T sum = value + x;                                                                    \
      __builtin_memcpy(&now, &sum, sizeof(T));                                                    \
    } while (                                                                                     \
        !__atomic_compare_exchange_n(bits, &old, now, true, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)); \
    return value;                                                                                 \
  }
FLAGOS_FAKE_FLOAT_ADD(float, unsigned)
FLAGOS_FAKE_FLOAT_ADD(double, unsigned long long)

// ---- numbers ----

template <typename To, typename From>
static inline To flagos_fake_bits(From from) {
  To to;
  __builtin_memcpy(&to, &from, sizeof(To));
  return to;
}
static inline unsigned __float_as_uint(float x) { return flagos_fake_bits<unsigned>(x); }
static inline int __float_as_int(float x) { return flagos_fake_bits<int>(x); }
static inline float __uint_as_float(unsigned x) { return flagos_fake_bits<float>(x); }
static inline float __int_as_float(int x) { return flagos_fake_bits<float>(x); }
static inline long long __double_as_longlong(double x) { return flagos_fake_bits<long long>(x); }
static inline double __longlong_as_double(long long x) { return flagos_fake_bits<double>(x); }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline double __dadd_rn(double a, double b) { return a + b; }
static inline double __dsub_rn(double a, double b) { return a - b; }
static inline double __dmul_rn(double a, double b) { return a * b; }
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
static inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz((unsigned)x); }
static inline int __clzll(long long x) {
  return x == 0 ? 64 : __builtin_clzll((unsigned long long)x);
}
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline unsigned __brev(unsigned x) {
  unsigned y = 0;
  for (int i = 0; i < 32; ++i) y |= (x >> i & 1u) << (31 - i);
  return y;
}
static inline int min(int a, int b) { return a < b ? a : b; }
static inline unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }
static inline int max(int a, int b) { return a > b ? a : b; }
static inline unsigned max(unsigned a, unsigned b) { return a > b ? a : b; }

#define FLAGOS_FAKE_ONE(do)                                                                                                                                    \
  do                                                                                                                                                           \
  (acos) do(acosh) do(asin) do(asinh) do(atan) do(atanh) do(cbrt) do(ceil) do(cos) do(cosh) do(erf) do(erfc) do(exp) do(exp2) do(expm1) do(fabs) do(floor) do( \
      lgamma) do(log) do(log10) do(log1p) do(log2) do(nearbyint) do(rint) do(round) do(sin) do(sinh) do(sqrt) do(tan) do(tanh) do(tgamma) do(trunc)
#define FLAGOS_FAKE_TWO(do) \
  do (atan2) do(copysign) do(fmax) do(fmin) do(fmod) do(hypot) do(nextafter) do(pow) do(remainder)
#define FLAGOS_FAKE_DECLARE_ONE(name) \
  double name(double);                \
  float name##f(float);
#define FLAGOS_FAKE_DECLARE_TWO(name) \
  double name(double, double);        \
  float name##f(float, float);
extern "C" {
FLAGOS_FAKE_ONE(FLAGOS_FAKE_DECLARE_ONE)
FLAGOS_FAKE_TWO(FLAGOS_FAKE_DECLARE_TWO)
double fma(double, double, double);
float fmaf(float, float, float);
int printf(const char*, ...);
}
static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
static inline double rsqrt(double x) { return 1.0 / sqrt(x); }
static inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }

// ---- clocks ----

struct flagos_fake_timespec {
  long seconds, nanoseconds;
};
extern "C" int clock_gettime(int clock, flagos_fake_timespec* out);
extern "C" int sched_yield();
static inline unsigned long long flagos_fake_clock() {
  flagos_fake_timespec time;
  clock_gettime(1, &time);
  return (unsigned long long)time.seconds * 1000000000ull + (unsigned long long)time.nanoseconds;
}
// Of 3 GHz. Who looks at the clock waits for something: the thread that does it may need this processor.
static inline long long clock64() {
  sched_yield();
  return (long long)(3 * flagos_fake_clock());
}
static inline unsigned long long __globaltimer() { return flagos_fake_clock(); }
static inline void __nanosleep(unsigned) { sched_yield(); }

// ---- how the fake calls a kernel ----

template <auto function>
struct flagos_fake_call;
template <typename... T, void (*function)(T...)>
struct flagos_fake_call<function> {
  static constexpr unsigned count = sizeof...(T);
  struct Layout {
    flagos_fake_parameter items[count + 1];
    unsigned long long end;
  };
  // Arguments lie each at its natural alignment behind the one before.
  static constexpr Layout layout = [] {
    Layout made{};
    const unsigned long long sizes[] = {sizeof(T)..., 0}, alignments[] = {alignof(T)..., 1};
    for (unsigned i = 0; i < count; ++i) {
      made.items[i].offset = (made.end + alignments[i] - 1) / alignments[i] * alignments[i];
      made.items[i].size = sizes[i];
      made.end = made.items[i].offset + sizes[i];
    }
    return made;
  }();
  template <unsigned... i>
  static void unpack(const unsigned char* block) {
    function((*(const T*)(block + layout.items[i].offset))...);
  }
  template <unsigned... i>
  struct Indices {};
  template <unsigned... i>
  static void unpack_all(const unsigned char* block, Indices<i...>) {
    unpack<i...>(block);
  }
  static void call(const unsigned char* block) {
    unpack_all(block, Indices<__integer_pack(count)...>());
  }
};
// For cuda_tensor_twin.hpp, which stands behind this.
#define TC_TWIN_STORAGE static thread_local

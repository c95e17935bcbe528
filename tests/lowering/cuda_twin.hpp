// CUDA C++ as the lowering prints it, for the host's compiler: the threads of a block take turns, each up to its next
// barrier. Pasted before printed text; base/testing/cuda_tensor_twin.hpp follows it.
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>

#include <cstdlib>
#include <tuple>
#include <utility>
#include <vector>

#define __device__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(n)
#define __shared__ static
#define __align__(n) __attribute__((aligned(n)))

namespace twin {

struct Dim3 {
  unsigned x, y, z;
};
struct Thread {
  ucontext_t context;
  std::vector<char> stack;
  unsigned barriers = 0;
  bool done = false;
};
static std::vector<Thread> threads;
static unsigned now;
static ucontext_t scheduler;
static Dim3 block, grid;
static unsigned long long exchange[1024];
static void (*body)(void*);
static void* body_data;

static void wait() {
  ++threads[now].barriers;
  swapcontext(&threads[now].context, &scheduler);
}

static void enter() {
  body(body_data);
  threads[now].done = true;
}

// False when some threads of the block wait for a barrier that others never come to.
static bool run_block() {
  for (now = 0; now < threads.size(); ++now) {
    Thread& thread = threads[now];
    thread.barriers = 0;
    thread.done = false;
    getcontext(&thread.context);
    thread.context.uc_stack.ss_sp = thread.stack.data();
    thread.context.uc_stack.ss_size = thread.stack.size();
    thread.context.uc_link = &scheduler;
    makecontext(&thread.context, enter, 0);
  }
  for (;;) {
    for (now = 0; now < threads.size(); ++now)
      if (!threads[now].done) swapcontext(&scheduler, &threads[now].context);
    for (const Thread& thread : threads)
      if (thread.done != threads[0].done || thread.barriers != threads[0].barriers) return false;
    if (threads[0].done) return true;
  }
}

// `arguments` are the addresses of the kernel's arguments.
template <typename... A>
static int run(void (*kernel)(A...), const unsigned* size, unsigned count, void* const* arguments) {
  auto call = [&] {
    [&]<std::size_t... i>(std::index_sequence<i...>) { kernel(*static_cast<A*>(arguments[i])...); }
    (std::index_sequence_for<A...>());
  };
  body = [](void* data) { (*static_cast<decltype(call)*>(data))(); };
  body_data = &call;
  threads.resize(count);
  for (Thread& thread : threads) thread.stack.resize(128 * 1024);
  grid = {size[0], size[1], size[2]};
  for (block.z = 0; block.z < grid.z; ++block.z)
    for (block.y = 0; block.y < grid.y; ++block.y)
      for (block.x = 0; block.x < grid.x; ++block.x)
        if (!run_block()) return 1;
  return 0;
}

}  // namespace twin

#define threadIdx (twin::Dim3{twin::now, 0, 0})
#define blockIdx (twin::block)
#define gridDim (twin::grid)

static inline void __syncthreads() { twin::wait(); }
static inline void __threadfence() {}
// Warps stay in step with each other too: the text is the same for all of them.
template <typename T>
static inline T __shfl_sync(unsigned, T value, int lane) {
  memcpy(&twin::exchange[twin::now], &value, sizeof value);
  twin::wait();
  T other;
  memcpy(&other, &twin::exchange[twin::now / 32 * 32 + (unsigned)lane], sizeof other);
  twin::wait();
  return other;
}

template <typename T, typename F>
static inline T twin_update(T* at, F next) {
  const T old = *at;
  *at = next(old);
  return old;
}
#define TWIN_ATOMIC(name, next)                                          \
  template <typename T>                                                  \
  static inline T name(T* at, T x) {                                     \
    return twin_update(at, [=](T old) { return static_cast<T>(next); }); \
  }
TWIN_ATOMIC(atomicExch, x)
TWIN_ATOMIC(atomicAnd, old& x)
TWIN_ATOMIC(atomicOr, old | x)
TWIN_ATOMIC(atomicXor, old ^ x)
TWIN_ATOMIC(atomicMin, old < x ? old : x)
TWIN_ATOMIC(atomicMax, old > x ? old : x)
static inline int atomicAdd(int* at, int x) {
  return twin_update(at, [=](int old) { return (int)((unsigned)old + (unsigned)x); });
}
TWIN_ATOMIC(atomicAdd, old + x)
template <typename T>
static inline T atomicCAS(T* at, T wanted, T next) {
  return twin_update(at, [=](T old) { return old == wanted ? next : old; });
}

template <typename To, typename From>
static inline To twin_bits(From from) {
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
}
#define __float_as_uint(x) twin_bits<unsigned>(static_cast<float>(x))
#define __uint_as_float(x) twin_bits<float>(static_cast<unsigned>(x))
#define __double_as_longlong(x) twin_bits<long long>(static_cast<double>(x))
#define __longlong_as_double(x) twin_bits<double>(static_cast<long long>(x))
#define __fadd_rn(a, b) ((a) + (b))
#define __fsub_rn(a, b) ((a) - (b))
#define __fmul_rn(a, b) ((a) * (b))
#define __dadd_rn(a, b) ((a) + (b))
#define __dsub_rn(a, b) ((a) - (b))
#define __dmul_rn(a, b) ((a) * (b))
static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
static inline double rsqrt(double x) { return 1.0 / sqrt(x); }

#define TWIN_KERNEL(name)                                                \
  extern "C" __attribute__((visibility("default"))) int twin_run_##name( \
      const unsigned* size, unsigned count, void* const* arguments) {    \
    return twin::run(&name, size, count, arguments);                     \
  }

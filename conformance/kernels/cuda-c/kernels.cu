// The suite's kernels in CUDA C++ for NVRTC, what ../kernels.c is for the cpu plugin. All files of this folder make one pack,
// kernels.cuda-c, in which this one comes first.
typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long long ulong;

// Types by the names that the suite knows them by.
struct flagos_float16_t {
  ushort bits;
};
struct flagos_bfloat16_t {
  ushort bits;
};
typedef bool flagos_bool_t;
struct flagos_address_t {
  ulong bits;
};

#define FN static __device__ __forceinline__
#define KERNEL extern "C" __global__ void
#define EXECUTION_FAILED 0x04000002

// Threads of a block, and the indices of this block and this thread in the launch, x fastest.
FN ulong block_threads() { return (ulong)blockDim.x * blockDim.y * blockDim.z; }
FN ulong block_count() { return (ulong)gridDim.x * gridDim.y * gridDim.z; }
FN ulong block_number() {
  return ((ulong)blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
}
FN ulong thread_in_block() {
  return ((ulong)threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
}
FN ulong thread_number() { return block_number() * block_threads() + thread_in_block(); }

// Something that goes on while time passes: cycles.
#define TICKS() ((ulong)clock64())
#define TICKS_OF_20_SECONDS 40000000000ull
#define TICKS_PER_NS_MAX 3ull  // no card is faster, so a sleep is never too short

FN uint load_word(volatile uint* word) {
  const uint value = *word;
  __threadfence_system();
  return value;
}
FN void store_word(volatile uint* word, uint value) {
  __threadfence_system();
  *word = value;
}

KERNEL noop() {}

KERNEL add_one(uint* values, uint n) {
  const ulong i = thread_number();
  if (i < n) ++values[i];
}

KERNEL copy_u32(uint* target, const uint* source, uint n) {
  const ulong i = thread_number();
  if (i < n) target[i] = source[i];
}

KERNEL fill_index(uint* out, uint n) {
  const ulong i = thread_number();
  if (i < n) out[i] = (uint)i;
}

// Waits until the flag has the value, or for some 20 s.
KERNEL spin_until(volatile uint* flag, uint value) {
  const ulong start = TICKS();
  while (load_word(flag) != value)
    if (TICKS() - start > TICKS_OF_20_SECONDS) return;
}

KERNEL sleep_ns(ulong nanoseconds) {
  const ulong start = TICKS();
  while (TICKS() - start < nanoseconds * TICKS_PER_NS_MAX) {
  }
}

KERNEL fail(int status, int* flagos_failure) { *flagos_failure = status; }

KERNEL write_flag(volatile uint* flag, uint value) { store_word(flag, value); }

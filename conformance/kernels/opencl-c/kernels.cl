// The suite's kernels in OpenCL C 1.2, what ../kernels.c is for the cpu plugin. All files of this
// folder make one pack, kernels.opencl-c, in which this one comes first.
#pragma OPENCL EXTENSION cl_khr_int64_base_atomics : enable
#pragma OPENCL EXTENSION cl_khr_int64_extended_atomics : enable
#ifdef cl_khr_fp64
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#endif

// Types that OpenCL C does not pass by value, by the names that the plugin knows them by.
typedef ushort flagos_float16_t;
typedef ushort flagos_bfloat16_t;
typedef uchar flagos_bool_t;
typedef ulong flagos_address_t;

#define EXECUTION_FAILED 0x04000002

// Threads of a block, and the indices of this block and this thread in the launch, x fastest.
ulong block_threads(void) { return get_local_size(0) * get_local_size(1) * get_local_size(2); }
ulong block_count(void) { return get_num_groups(0) * get_num_groups(1) * get_num_groups(2); }
ulong block_number(void) {
  return (get_group_id(2) * get_num_groups(1) + get_group_id(1)) * get_num_groups(0) +
         get_group_id(0);
}
ulong thread_in_block(void) {
  return (get_local_id(2) * get_local_size(1) + get_local_id(1)) * get_local_size(0) +
         get_local_id(0);
}
ulong thread_number(void) { return block_number() * block_threads() + thread_in_block(); }

// Something that goes on while time passes: cycles where the compiler has them, else turns.
#if defined(__has_builtin)
#if __has_builtin(__builtin_readcyclecounter)
#define TICKS(turns) ((ulong)__builtin_readcyclecounter())
#endif
#endif
#ifndef TICKS
#define TICKS(turns) (turns)
#endif
#define TICKS_OF_20_SECONDS 50000000000ul
#define TICKS_PER_NS_MAX 5ul  // no processor is faster, so a sleep is never too short

uint load_word(volatile __global uint* word) { return atomic_add(word, 0u); }
void store_word(volatile __global uint* word, uint value) {
  mem_fence(CLK_GLOBAL_MEM_FENCE);
  atomic_xchg(word, value);
}

__kernel void noop(void) {}

__kernel void add_one(__global uint* values, uint n) {
  const ulong i = thread_number();
  if (i < n) ++values[i];
}

__kernel void copy_u32(__global uint* target, __global const uint* source, uint n) {
  const ulong i = thread_number();
  if (i < n) target[i] = source[i];
}

__kernel void fill_index(__global uint* out, uint n) {
  const ulong i = thread_number();
  if (i < n) out[i] = (uint)i;
}

// Waits until the flag has the value, or for some 20 s.
__kernel void spin_until(volatile __global uint* flag, uint value) {
  ulong turns = 0;
  const ulong start = TICKS(turns);
  while (load_word(flag) != value) {
    ++turns;
    if (TICKS(turns) - start > TICKS_OF_20_SECONDS) return;
  }
}

__kernel void sleep_ns(ulong nanoseconds) {
  volatile ulong turns = 0;
  const ulong start = TICKS(turns);
  while (TICKS(turns) - start < nanoseconds * TICKS_PER_NS_MAX) ++turns;
}

__kernel void fail(int status, __global int* flagos_failure) { *flagos_failure = status; }

__kernel void write_flag(volatile __global uint* flag, uint value) { store_word(flag, value); }

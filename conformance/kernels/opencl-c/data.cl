// Kernels for the cases about memory, copies, fills and streams: see ../data.c.
__kernel void data_step(__global uint* word, uint multiplier, uint addend) {
  if (thread_number() == 0) *word = *word * multiplier + addend;
}

__kernel void data_append(__global uint* log, uint tag, uint capacity) {
  if (thread_number() != 0) return;
  if (log[0] < capacity) log[1 + log[0]] = tag;
  ++log[0];
}

__kernel void data_add(__global uint* target, __global const uint* source, uint addend,
                       uint count) {
  const ulong i = thread_number();
  if (i < count) target[i] = source[i] + addend;
}

__kernel void data_meet(volatile __global uint* mine, volatile __global uint* other,
                        __global uint* met) {
  if (thread_number() != 0) return;
  ulong turns = 0;
  const ulong start = TICKS(turns);
  store_word(mine, 1);
  uint found = 0;
  do {
    found = load_word(other);
    ++turns;
  } while (found == 0 && TICKS(turns) - start < TICKS_OF_20_SECONDS);
  *met = found;
}

__kernel void data_fail(__global int* flagos_failure) { *flagos_failure = EXECUTION_FAILED; }

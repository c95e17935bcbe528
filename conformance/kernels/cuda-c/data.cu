// Kernels for the cases about memory, copies, fills and streams: see ../data.c.
KERNEL data_step(uint* word, uint multiplier, uint addend) {
  if (thread_number() == 0) *word = *word * multiplier + addend;
}

KERNEL data_append(uint* log, uint tag, uint capacity) {
  if (thread_number() != 0) return;
  if (log[0] < capacity) log[1 + log[0]] = tag;
  ++log[0];
}

KERNEL data_add(uint* target, const uint* source, uint addend, uint count) {
  const ulong i = thread_number();
  if (i < count) target[i] = source[i] + addend;
}

KERNEL data_meet(volatile uint* mine, volatile uint* other, uint* met) {
  if (thread_number() != 0) return;
  const ulong start = TICKS();
  store_word(mine, 1);
  uint found = 0;
  do {
    found = load_word(other);
  } while (found == 0 && TICKS() - start < TICKS_OF_20_SECONDS);
  *met = found;
}

KERNEL data_fail(int* flagos_failure) { *flagos_failure = EXECUTION_FAILED; }

// A global of 64 words.
extern "C" __device__ uint data_global[64] = {1, 2, 3};

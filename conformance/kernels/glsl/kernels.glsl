#pragma flagos kernel(noop, add_one, copy_u32, fill_index, spin_until, count_rounds, sleep_ns, atomic_add, fail, write_flag)

#ifdef FLAGOS_KERNEL_noop
void main() {}
#endif

#ifdef FLAGOS_KERNEL_add_one
ARGUMENTS { Words values; uint n; } a;
void main() {
  const uint64_t i = thread_number();
  if (i < a.n) a.values.at[uint(i)] += 1;
}
#endif

#ifdef FLAGOS_KERNEL_copy_u32
ARGUMENTS { Words target; Words source; uint n; } a;
void main() {
  const uint64_t i = thread_number();
  if (i < a.n) a.target.at[uint(i)] = a.source.at[uint(i)];
}
#endif

#ifdef FLAGOS_KERNEL_fill_index
ARGUMENTS { Words result; uint n; } a;
void main() {
  const uint64_t i = thread_number();
  if (i < a.n) a.result.at[uint(i)] = uint(i);
}
#endif

#ifdef FLAGOS_KERNEL_spin_until
ARGUMENTS { Words flag; uint value; } a;
void main() {
  for (uint round = 0; round < WAIT_ROUNDS; ++round)
    for (uint spin = 0; spin < WAIT_SPINS; ++spin)
      [[unroll]] for (uint again = 0; again < 8; ++again)
        if (WATCH(a.flag.at[0]) == a.value) return;
}
#endif

#ifdef FLAGOS_KERNEL_count_rounds
// Whether a loop runs as often as it says, see holding_grid() in objects.cpp.
ARGUMENTS { Words result; uint rounds; } a;
void main() {
  for (uint i = 0; i < a.rounds; ++i) atomicAdd(a.result.at[0], 1u);
}
#endif

#ifdef FLAGOS_KERNEL_sleep_ns
// There is no clock that every device has, but an atomic addition takes at least 4 ns on all.
ARGUMENTS { uint64_t nanoseconds; } a;
shared uint rounds;
void main() {
  for (uint64_t i = 0; i < a.nanoseconds / 4; ++i) atomicAdd(rounds, 1u);
}
#endif

#ifdef FLAGOS_KERNEL_atomic_add
ARGUMENTS { Longs counter; uint64_t value; } a;
void main() { atomicAdd(a.counter.at[0], a.value); }
#endif

#ifdef FLAGOS_KERNEL_fail
ARGUMENTS { int status; Status flagos_status; } a;
void main() { a.flagos_status.value = a.status; }
#endif

#ifdef FLAGOS_KERNEL_write_flag
ARGUMENTS { Words flag; uint value; } a;
void main() {
  atomicStore(a.flag.at[0], a.value, gl_ScopeDevice, gl_StorageSemanticsBuffer, gl_SemanticsRelease);
}
#endif

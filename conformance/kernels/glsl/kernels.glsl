#pragma flagos kernel(noop, add_one, copy_u32, fill_index, spin_until, count_rounds, sleep_ns, atomic_add, fail, write_flag)

#ifdef FLAGOS_KERNEL_noop
void main() {}
#endif

#ifdef FLAGOS_KERNEL_add_one
ARGUMENTS { POINTER(Words, values); uint n; } a;
BUFFER(0, Words, values)
void main() {
  const uint64_t i = thread_number();
  if (i < a.n) AT(values, uint(i)) += 1;
}
#endif

#ifdef FLAGOS_KERNEL_copy_u32
ARGUMENTS { POINTER(Words, target); POINTER(Words, source); uint n; } a;
BUFFER(0, Words, target)
BUFFER(1, Words, source)
void main() {
  const uint64_t i = thread_number();
  if (i < a.n) AT(target, uint(i)) = AT(source, uint(i));
}
#endif

#ifdef FLAGOS_KERNEL_fill_index
ARGUMENTS { POINTER(Words, result); uint n; } a;
BUFFER(0, Words, result)
void main() {
  const uint64_t i = thread_number();
  if (i < a.n) AT(result, uint(i)) = uint(i);
}
#endif

#ifdef FLAGOS_KERNEL_spin_until
ARGUMENTS { POINTER(Words, flag); uint value; } a;
BUFFER(0, Words, flag)
void main() {
  for (uint round = 0; round < WAIT_ROUNDS; ++round)
    for (uint spin = 0; spin < WAIT_SPINS; ++spin)
      [[unroll]] for (uint again = 0; again < 8; ++again)
        if (WATCH(AT(flag, 0)) == a.value) return;
}
#endif

#ifdef FLAGOS_KERNEL_count_rounds
// Whether a loop runs as often as it says, see holding_grid() in objects.cpp.
ARGUMENTS { POINTER(Words, result); uint rounds; } a;
BUFFER(0, Words, result)
void main() {
  for (uint i = 0; i < a.rounds; ++i) atomicAdd(AT(result, 0), 1u);
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
ARGUMENTS { POINTER(Longs, counter); uint64_t value; } a;
BUFFER(0, Longs, counter)
void main() { atomicAdd(AT(counter, 0), a.value); }
#endif

#ifdef FLAGOS_KERNEL_fail
ARGUMENTS { int status; POINTER(Status, flagos_status); } a;
BUFFER(1, Status, flagos_status)
void main() { AT(flagos_status, 0) = a.status; }
#endif

#ifdef FLAGOS_KERNEL_write_flag
ARGUMENTS { POINTER(Words, flag); uint value; } a;
BUFFER(0, Words, flag)
void main() {
  atomicStore(AT(flag, 0), a.value, gl_ScopeDevice, gl_StorageSemanticsBuffer, gl_SemanticsRelease);
}
#endif

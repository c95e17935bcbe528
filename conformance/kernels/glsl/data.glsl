#pragma flagos kernel(data_step, data_append, data_add, data_meet, data_fail)

#ifdef FLAGOS_KERNEL_data_step
ARGUMENTS { POINTER(Words, word); uint multiplier; uint addend; } a;
BUFFER(0, Words, word)
void main() {
  if (gl_GlobalInvocationID.x == 0) AT(word, 0) = AT(word, 0) * a.multiplier + a.addend;
}
#endif

#ifdef FLAGOS_KERNEL_data_append
ARGUMENTS { POINTER(Words, log); uint tag; uint capacity; } a;
BUFFER(0, Words, log)
void main() {
  if (gl_GlobalInvocationID.x != 0) return;
  const uint count = AT(log, 0);
  if (count < a.capacity) AT(log, 1 + count) = a.tag;
  AT(log, 0) = count + 1;
}
#endif

#ifdef FLAGOS_KERNEL_data_add
ARGUMENTS { POINTER(Words, target); POINTER(Words, source); uint addend; uint count; } a;
BUFFER(0, Words, target)
BUFFER(1, Words, source)
void main() {
  const uint i = gl_GlobalInvocationID.x;
  if (i < a.count) AT(target, i) = AT(source, i) + a.addend;
}
#endif

#ifdef FLAGOS_KERNEL_data_meet
ARGUMENTS { POINTER(Words, mine); POINTER(Words, other); POINTER(Words, met); } a;
BUFFER(0, Words, mine)
BUFFER(1, Words, other)
BUFFER(2, Words, met)
void main() {
  if (gl_GlobalInvocationID.x != 0) return;
  atomicStore(AT(mine, 0), 1u, gl_ScopeDevice, gl_StorageSemanticsBuffer, gl_SemanticsRelease);
  uint met = 0;
  for (uint round = 0; round < WAIT_ROUNDS && met == 0; ++round)
    for (uint spin = 0; spin < WAIT_SPINS && met == 0; ++spin) met = WATCH(AT(other, 0));
  AT(met, 0) = met;
}
#endif

#ifdef FLAGOS_KERNEL_data_fail
ARGUMENTS { POINTER(Status, flagos_status); } a;
BUFFER(0, Status, flagos_status)
void main() { AT(flagos_status, 0) = 0x04000002; }
#endif

#pragma flagos kernel(data_step, data_append, data_add, data_meet, data_fail)

#ifdef FLAGOS_KERNEL_data_step
ARGUMENTS { Words word; uint multiplier; uint addend; } a;
void main() {
  if (gl_GlobalInvocationID.x == 0) a.word.at[0] = a.word.at[0] * a.multiplier + a.addend;
}
#endif

#ifdef FLAGOS_KERNEL_data_append
ARGUMENTS { Words log; uint tag; uint capacity; } a;
void main() {
  if (gl_GlobalInvocationID.x != 0) return;
  const uint count = a.log.at[0];
  if (count < a.capacity) a.log.at[1 + count] = a.tag;
  a.log.at[0] = count + 1;
}
#endif

#ifdef FLAGOS_KERNEL_data_add
ARGUMENTS { Words target; Words source; uint addend; uint count; } a;
void main() {
  const uint i = gl_GlobalInvocationID.x;
  if (i < a.count) a.target.at[i] = a.source.at[i] + a.addend;
}
#endif

#ifdef FLAGOS_KERNEL_data_meet
ARGUMENTS { Words mine; Words other; Words met; } a;
void main() {
  if (gl_GlobalInvocationID.x != 0) return;
  atomicStore(a.mine.at[0], 1u, gl_ScopeDevice, gl_StorageSemanticsBuffer, gl_SemanticsRelease);
  uint met = 0;
  for (uint round = 0; round < WAIT_ROUNDS && met == 0; ++round)
    for (uint spin = 0; spin < WAIT_SPINS && met == 0; ++spin) met = WATCH(a.other.at[0]);
  a.met.at[0] = met;
}
#endif

#ifdef FLAGOS_KERNEL_data_fail
ARGUMENTS { Status flagos_status; } a;
void main() { a.flagos_status.value = 0x04000002; }
#endif

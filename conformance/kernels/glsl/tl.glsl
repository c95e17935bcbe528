#pragma flagos kernel(tl_affine, tl_mix, tl_labour, tl_fail, tl_answer, tl_litmus)

#ifdef FLAGOS_KERNEL_tl_affine
ARGUMENTS { POINTER(Words, data); uint count; uint multiply; uint add; } a;
BUFFER(0, Words, data)
void main() {
  const uint i = gl_GlobalInvocationID.x;
  if (i < a.count) AT(data, i) = AT(data, i) * a.multiply + a.add;
}
#endif

#ifdef FLAGOS_KERNEL_tl_mix
ARGUMENTS { POINTER(Words, target); POINTER(Words, source); uint count; uint multiply; } a;
BUFFER(0, Words, target)
BUFFER(1, Words, source)
void main() {
  const uint i = gl_GlobalInvocationID.x;
  if (i < a.count) AT(target, i) = AT(target, i) * a.multiply + AT(source, i);
}
#endif

#ifdef FLAGOS_KERNEL_tl_labour
ARGUMENTS { POINTER(Words, data); uint rounds; uint value; } a;
BUFFER(0, Words, data)
void main() {
  uint product = 12345u + gl_WorkGroupID.x;
  for (uint i = 0; i < a.rounds; ++i) product = product * 1664525u + (product >> 13) + i;
  if (product == 0x5eed5eedu) AT(data, 0) = product;
  AT(data, 0) = a.value;
}
#endif

#ifdef FLAGOS_KERNEL_tl_fail
ARGUMENTS { uint status; POINTER(Status, flagos_status); } a;
BUFFER(1, Status, flagos_status)
void main() { AT(flagos_status, 0) = int(a.status); }
#endif

#ifdef FLAGOS_KERNEL_tl_answer
// Several blocks may stand ready, of which one answers: where a driver ends its loop, the next goes on.
ARGUMENTS { POINTER(Words, request); POINTER(Words, reply); } a;
BUFFER(0, Words, request)
BUFFER(1, Words, reply)
void main() {
  bool answers = false;
  bool ended = false;
  for (uint i = 0; i < 60000u && !answers && !ended; ++i) {
    ended = WATCH(AT(request, 0)) == 0xffffffffu;
    answers = subgroupBroadcastFirst(atomicCompSwap(AT(reply, 1), 0u, 1u)) == 0u;
  }
  if (!answers) return;
  uint served = WATCH(AT(reply, 0));
  for (;;) {
    uint sequence = served;
    while (sequence == served)
      [[unroll]] for (uint again = 0; again < 16; ++again)
        if (sequence == served) sequence = WATCH(AT(request, 0));
    if (sequence == 0xffffffffu) break;
    served = sequence;
    AT(reply, 16) = AT(request, 16) ^ (sequence * 2654435761u);
    atomicStore(AT(reply, 0), sequence, gl_ScopeDevice, gl_StorageSemanticsBuffer,
                gl_SemanticsRelease);
  }
  atomicStore(AT(reply, 1), 0u, gl_ScopeDevice, gl_StorageSemanticsBuffer, gl_SemanticsRelease);
}
#endif

#ifdef FLAGOS_KERNEL_tl_litmus
ARGUMENTS { POINTER(Words, x); POINTER(Words, y); POINTER(Words, result); uint rounds; uint kind; } a;
BUFFER(0, Words, x)
BUFFER(1, Words, y)
BUFFER(2, Words, result)
#define LOAD(word) atomicLoad(word, gl_ScopeDevice, 0, 0)
#define STORE(word, value) atomicStore(word, value, gl_ScopeDevice, 0, 0)
#define FENCE()                                                                       \
  memoryBarrier(gl_ScopeDevice, gl_StorageSemanticsBuffer,                            \
                gl_SemanticsAcquireRelease | gl_SemanticsMakeAvailable | gl_SemanticsMakeVisible)
void store_buffer(uint side) {
  for (uint i = 0; i < a.rounds; ++i) {
    // An exchange and an addition of 0 order a store before a load where a fence does not.
    if (side == 0) {
      atomicExchange(AT(x, i), 1u);
      AT(result, 2 * i) = atomicAdd(AT(y, i), 0u);
    } else {
      atomicExchange(AT(y, i), 1u);
      AT(result, 2 * i + 1) = atomicAdd(AT(x, i), 0u);
    }
  }
}
void coherence(uint side) {
  for (uint i = 0; i < a.rounds; ++i) {
    if (side == 0) {
      STORE(AT(x, i), 1u);
      STORE(AT(x, i), 2u);
    } else {
      AT(result, 2 * i) = LOAD(AT(x, i));
      AT(result, 2 * i + 1) = LOAD(AT(x, i));
    }
  }
}
void message(uint side) {
  for (uint i = 0; i < a.rounds; ++i) {
    if (side == 0) {
      STORE(AT(x, i), i + 1);
      atomicStore(AT(y, i), 1u, gl_ScopeDevice, gl_StorageSemanticsBuffer, gl_SemanticsRelease);
    } else {
      AT(result, 2 * i) =
          atomicLoad(AT(y, i), gl_ScopeDevice, gl_StorageSemanticsBuffer, gl_SemanticsAcquire);
      AT(result, 2 * i + 1) = LOAD(AT(x, i));
    }
  }
}
void main() {
  const uint side = gl_WorkGroupID.x;
  if (a.kind == 0) store_buffer(side);
  if (a.kind == 1) coherence(side);
  if (a.kind == 2) message(side);
}
#endif

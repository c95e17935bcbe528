#pragma flagos kernel(tl_affine, tl_mix, tl_labour, tl_fail, tl_answer, tl_litmus)

#ifdef FLAGOS_KERNEL_tl_affine
ARGUMENTS { Words data; uint count; uint multiply; uint add; } a;
void main() {
  const uint i = gl_GlobalInvocationID.x;
  if (i < a.count) a.data.at[i] = a.data.at[i] * a.multiply + a.add;
}
#endif

#ifdef FLAGOS_KERNEL_tl_mix
ARGUMENTS { Words target; Words source; uint count; uint multiply; } a;
void main() {
  const uint i = gl_GlobalInvocationID.x;
  if (i < a.count) a.target.at[i] = a.target.at[i] * a.multiply + a.source.at[i];
}
#endif

#ifdef FLAGOS_KERNEL_tl_labour
ARGUMENTS { Words data; uint rounds; uint value; } a;
void main() {
  uint product = 12345u + gl_WorkGroupID.x;
  for (uint i = 0; i < a.rounds; ++i) product = product * 1664525u + (product >> 13) + i;
  if (product == 0x5eed5eedu) a.data.at[0] = product;
  a.data.at[0] = a.value;
}
#endif

#ifdef FLAGOS_KERNEL_tl_fail
ARGUMENTS { uint status; Status flagos_status; } a;
void main() { a.flagos_status.value = int(a.status); }
#endif

#ifdef FLAGOS_KERNEL_tl_answer
// Several blocks may stand ready, of which one answers: where a driver ends its loop, the next goes on.
ARGUMENTS { Words request; Words reply; } a;
void main() {
  bool answers = false;
  bool ended = false;
  for (uint i = 0; i < 60000u && !answers && !ended; ++i) {
    ended = WATCH(a.request.at[0]) == 0xffffffffu;
    answers = subgroupBroadcastFirst(atomicCompSwap(a.reply.at[1], 0u, 1u)) == 0u;
  }
  if (!answers) return;
  uint served = WATCH(a.reply.at[0]);
  for (;;) {
    uint sequence = served;
    while (sequence == served)
      [[unroll]] for (uint again = 0; again < 16; ++again)
        if (sequence == served) sequence = WATCH(a.request.at[0]);
    if (sequence == 0xffffffffu) break;
    served = sequence;
    a.reply.at[16] = a.request.at[16] ^ (sequence * 2654435761u);
    atomicStore(a.reply.at[0], sequence, gl_ScopeDevice, gl_StorageSemanticsBuffer,
                gl_SemanticsRelease);
  }
  atomicStore(a.reply.at[1], 0u, gl_ScopeDevice, gl_StorageSemanticsBuffer, gl_SemanticsRelease);
}
#endif

#ifdef FLAGOS_KERNEL_tl_litmus
ARGUMENTS { Words x; Words y; Words result; uint rounds; uint kind; } a;
#define LOAD(word) atomicLoad(word, gl_ScopeDevice, 0, 0)
#define STORE(word, value) atomicStore(word, value, gl_ScopeDevice, 0, 0)
#define FENCE()                                                                       \
  memoryBarrier(gl_ScopeDevice, gl_StorageSemanticsBuffer,                            \
                gl_SemanticsAcquireRelease | gl_SemanticsMakeAvailable | gl_SemanticsMakeVisible)
void store_buffer(uint side) {
  for (uint i = 0; i < a.rounds; ++i) {
    // An exchange and an addition of 0 order a store before a load where a fence does not.
    if (side == 0) {
      atomicExchange(a.x.at[i], 1u);
      a.result.at[2 * i] = atomicAdd(a.y.at[i], 0u);
    } else {
      atomicExchange(a.y.at[i], 1u);
      a.result.at[2 * i + 1] = atomicAdd(a.x.at[i], 0u);
    }
  }
}
void coherence(uint side) {
  for (uint i = 0; i < a.rounds; ++i) {
    if (side == 0) {
      STORE(a.x.at[i], 1u);
      STORE(a.x.at[i], 2u);
    } else {
      a.result.at[2 * i] = LOAD(a.x.at[i]);
      a.result.at[2 * i + 1] = LOAD(a.x.at[i]);
    }
  }
}
void message(uint side) {
  for (uint i = 0; i < a.rounds; ++i) {
    if (side == 0) {
      STORE(a.x.at[i], i + 1);
      atomicStore(a.y.at[i], 1u, gl_ScopeDevice, gl_StorageSemanticsBuffer, gl_SemanticsRelease);
    } else {
      a.result.at[2 * i] =
          atomicLoad(a.y.at[i], gl_ScopeDevice, gl_StorageSemanticsBuffer, gl_SemanticsAcquire);
      a.result.at[2 * i + 1] = LOAD(a.x.at[i]);
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

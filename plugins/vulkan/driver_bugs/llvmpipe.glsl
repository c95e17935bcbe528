#version 460
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#pragma flagos kernel(count_rounds, idle_lanes, widened)
layout(local_size_x = 1) in;
layout(set = 0, binding = 0) buffer Words { uint counted; uint flag; } words;

#ifdef FLAGOS_KERNEL_count_rounds
void main() {
  for (uint i = 0; i < 100000u; ++i) atomicAdd(words.counted, 1u);
}
#endif

#ifdef FLAGOS_KERNEL_idle_lanes
// The first loop ends in its first round, since the flag is set.
void main() {
  for (uint i = 0; i < 0x7fffffffu; ++i)
    if (atomicAdd(words.flag, 0u) == 1u) break;
  for (uint i = 0; i < 1000u; ++i) atomicAdd(words.counted, 1u);
}
#endif

#ifdef FLAGOS_KERNEL_widened
// The flag is 1.
void main() {
  words.counted = int64_t(int(words.flag)) < int64_t(2) ? 1u : 0u;
}
#endif

/* One small step, repeated many times: what a graph is for. */
__kernel void mix_values(__global uint* values, uint factor, uint addend) {
  const uint i = get_global_id(0);
  values[i] = values[i] * factor + addend;
}

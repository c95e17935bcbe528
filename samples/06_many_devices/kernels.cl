/* values[i] = values[i] * factor + addend, in the format opencl-c. */
__kernel void affine_step(__global uint* values, uint factor, uint addend, uint count) {
  const uint i = get_global_id(0);
  if (i < count) values[i] = values[i] * factor + addend;
}

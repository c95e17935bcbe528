/* The kernel of the sample, for devices that take opencl-c. */
__kernel void add(__global const float* a, __global const float* b, __global float* sum,
                  uint count) {
  const uint i = get_global_id(0);
  if (i < count) sum[i] = a[i] + b[i];
}

#version 460
#pragma flagos kernel(bench_empty)
layout(local_size_x_id = 0) in;
#ifdef FLAGOS_KERNEL_bench_empty
void main() {}
#endif

// Kernels for the cases on modules: see ../mod.c.
__constant char mod_marker[17] = "FLAGOS-MARK-0001";

__kernel void mod_read_marker(__global char* target) {
  for (int i = 0; i < 16; ++i) target[i] = mod_marker[i];
}

__constant uint mod_global[4] = {11, 22, 33, 44};

__kernel void mod_read_global(__global uint* target) {
  for (int i = 0; i < 4; ++i) target[i] = mod_global[i];
}

// Its name begins with another kernel's: a lookup must not match a prefix.
__kernel void mod_read_global_negated(__global uint* target) {
  for (int i = 0; i < 4; ++i) target[i] = ~mod_global[i];
}

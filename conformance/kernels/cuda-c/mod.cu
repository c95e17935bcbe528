// Kernels for the cases on modules: see ../mod.c.
__constant__ char mod_marker[17] = "FLAGOS-MARK-0001";

KERNEL mod_read_marker(char* target) {
  for (int i = 0; i < 16; ++i) target[i] = mod_marker[i];
}

extern "C" __device__ uint mod_global[4] = {11, 22, 33, 44};

KERNEL mod_read_global(uint* target) {
  for (int i = 0; i < 4; ++i) target[i] = mod_global[i];
}

// Its name begins with another kernel's: a lookup must not match a prefix.
KERNEL mod_read_global_negated(uint* target) {
  for (int i = 0; i < 4; ++i) target[i] = ~mod_global[i];
}

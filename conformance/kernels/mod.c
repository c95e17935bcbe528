/* Kernels for the cases on modules: a marker that a case replaces in the image, and a global. */
#include <flagos_cpu_kernel.h>

#include <string.h>

/* A case finds these bytes in the image and changes the digits: two images, one kernel name. */
static const volatile char mod_marker[16] = "FLAGOS-MARK-0001";

typedef struct {
  flagos_address_t target;
} mod_target_arguments;
static const flagos_parameter_t mod_target_parameters[] = {
    FLAGOS_CPU_PARAMETER(mod_target_arguments, target, FLAGOS_DTYPE_ADDRESS)};

FLAGOS_CPU_KERNEL(mod_read_marker, mod_target_arguments, mod_target_parameters) {
  char* target = (char*)flagos_cpu_pointer(arguments->target);
  (void)block;
  for (int i = 0; i < 16; ++i) target[i] = mod_marker[i];
}

FLAGOS_CPU_EXPORT_DATA uint32_t mod_global[4];
uint32_t mod_global[4] = {11, 22, 33, 44};

FLAGOS_CPU_KERNEL(mod_read_global, mod_target_arguments, mod_target_parameters) {
  (void)block;
  memcpy(flagos_cpu_pointer(arguments->target), mod_global, sizeof mod_global);
}

/* Its name begins with another kernel's: a lookup must not match a prefix. */
FLAGOS_CPU_KERNEL(mod_read_global_negated, mod_target_arguments, mod_target_parameters) {
  uint32_t* target = (uint32_t*)flagos_cpu_pointer(arguments->target);
  (void)block;
  for (int i = 0; i < 4; ++i) target[i] = ~mod_global[i];
}

/* Plain functions, called through their signature. */
FLAGOS_CPU_EXPORT void elfso_scale(float* x, float a, int32_t n);
void elfso_scale(float* x, float a, int32_t n) {
  for (int32_t i = 0; i < n; ++i) x[i] *= a;
}

/* More of each class than fit in registers, and every width: what is passed wrong lands in another
 * slot. */
FLAGOS_CPU_EXPORT void elfso_many(uint64_t* out, int8_t a, uint8_t b, int16_t c, uint16_t d,
                                  int32_t e, uint32_t f, int64_t g, uint64_t h, float i, double j,
                                  float k, double l, float m, double n, float o, double p, float q,
                                  double r, _Bool s);
void elfso_many(uint64_t* out, int8_t a, uint8_t b, int16_t c, uint16_t d, int32_t e, uint32_t f,
                int64_t g, uint64_t h, float i, double j, float k, double l, float m, double n,
                float o, double p, float q, double r, _Bool s) {
  const float floats[5] = {i, k, m, o, q};
  const double doubles[5] = {j, l, n, p, r};
  out[0] = (uint64_t)(int64_t)a;
  out[1] = b;
  out[2] = (uint64_t)(int64_t)c;
  out[3] = d;
  out[4] = (uint64_t)(int64_t)e;
  out[5] = f;
  out[6] = (uint64_t)g;
  out[7] = h;
  for (int x = 0; x < 5; ++x) {
    uint32_t bits;
    memcpy(&bits, &floats[x], 4);
    out[8 + x] = bits;
    memcpy(&out[13 + x], &doubles[x], 8);
  }
  out[18] = s;
}

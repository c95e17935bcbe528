/* A module that needs a function which nobody has. */
#include <flagos_cpu_kernel.h>

void test_symbol_of_nobody(void);

FLAGOS_CPU_KERNEL_NO_ARGUMENTS(test_unresolved) {
  (void)block;
  (void)arguments;
  test_symbol_of_nobody();
}

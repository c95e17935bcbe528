/* A program in C that uses an installed flagos. */
#include <flagos.h>
#include <stdio.h>

static int fail(const char* what) {
  fprintf(stderr, "%s: %s\n", what, flagos_last_error());
  return 1;
}

int main(void) {
  flagos_version_info_t version = {.struct_size = sizeof version};
  if (flagos_get_version(&version) != FLAGOS_STATUS_OK) {
    return fail("flagos_get_version");
  }
  flagos_runtime_t* runtime = NULL;
  if (flagos_runtime_create(NULL, &runtime) != FLAGOS_STATUS_OK) {
    return fail("flagos_runtime_create");
  }
  uint32_t count = 0;
  if (flagos_device_get_count(runtime, &count) != FLAGOS_STATUS_OK) {
    return fail("flagos_device_get_count");
  }
  printf("flagos %s, %u devices\n", version.product_version, (unsigned)count);
  if (flagos_runtime_destroy(runtime) != FLAGOS_STATUS_OK) {
    return fail("flagos_runtime_destroy");
  }
  return count == 0; /* the installed cpu plugin is always there */
}

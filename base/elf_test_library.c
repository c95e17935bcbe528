/* What elf_test.cpp reads: one of each kind of symbol. */
#include <stdio.h>

__attribute__((visibility("default"))) int elf_test_data[7] = {1, 2, 3};
__attribute__((visibility("hidden"))) int elf_test_hidden(int value);
__attribute__((visibility("default"))) int elf_test_function(int value);

static int elf_test_static(int value) { return value * elf_test_data[1]; }

int elf_test_hidden(int value) { return elf_test_static(value) + 1; }

int elf_test_function(int value) {
  puts("elf_test_function");
  return elf_test_hidden(value);
}

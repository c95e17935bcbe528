# The case files of the suite, one per line. A line may name a file that is not there yet.
set(FLAGOS_CASE_SOURCES
  cases/selftest.cpp
  cases/abi.cpp
  cases/cb.cpp
  cases/copy.cpp
  cases/dev.cpp
  cases/event.cpp
  cases/fill.cpp
  cases/graph.cpp
  cases/host.cpp
  cases/krn.cpp
  cases/leak.cpp
  cases/life.cpp
  cases/mem.cpp
  cases/mod.cpp
  cases/neg.cpp
  cases/stream.cpp
  cases/tl.cpp
)

# Kernels of the pack for format elf-so, one file per line.
set(FLAGOS_CASE_KERNELS
  kernels/kernels.c
)

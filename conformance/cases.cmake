# The case files of the suite, one per line. A line may name a file that is not there yet.
set(FLAGOS_CASE_SOURCES
  cases/selftest.cpp
  cases/abi.cpp
  cases/cb.cpp
  cases/copy.cpp
  cases/copy_2d.cpp
  cases/copy_order.cpp
  cases/copy_rules.cpp
  cases/copy_stress.cpp
  cases/data.cpp
  cases/dev.cpp
  cases/event.cpp
  cases/fill.cpp
  cases/graph.cpp
  cases/host.cpp
  cases/host_register.cpp
  cases/krn.cpp
  cases/leak.cpp
  cases/life.cpp
  cases/mem_alloc.cpp
  cases/mem_free.cpp
  cases/mem_limits.cpp
  cases/mem_pool.cpp
  cases/mem_query.cpp
  cases/mod.cpp
  cases/neg.cpp
  cases/stream.cpp
  cases/stream_life.cpp
  cases/stream_wait.cpp
  cases/tl.cpp
)

# Kernels of the pack for format elf-so, one file per line.
set(FLAGOS_CASE_KERNELS
  kernels/kernels.c
  kernels/data.c
)

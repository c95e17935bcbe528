# The warnings that the whole tree is held to. They are errors where we work; to look past them for a moment:
# cmake --compile-no-warning-as-error --preset dev
# Release is built by others too, with compilers that may warn of more than ours: there a warning is a warning.
if(NOT DEFINED CMAKE_COMPILE_WARNING_AS_ERROR AND NOT CMAKE_BUILD_TYPE STREQUAL "Release")
  set(CMAKE_COMPILE_WARNING_AS_ERROR ON)
endif()

# No -Wconversion: in code full of sizes and indices it hides the few casts that matter among many.
add_compile_options(
  -Wall
  -Wextra
  -Wpedantic
  -Wshadow
  -Wformat=2
  -Wundef
  -Wvla
  -Wpointer-arith
  $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes>
  $<$<COMPILE_LANGUAGE:C>:-Wmissing-prototypes>
  $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor>
  $<$<COMPILE_LANGUAGE:CXX>:-Woverloaded-virtual>
  $<$<COMPILE_LANGUAGE:CXX>:-Wextra-semi>
  # GCC 12 at -O3 warns of overlaps and uninitialised bytes inside std::string that are not there (GCC bug 105651).
  $<$<AND:$<COMPILE_LANG_AND_ID:CXX,GNU>,$<CONFIG:Release>>:-Wno-restrict>
  $<$<AND:$<COMPILE_LANG_AND_ID:CXX,GNU>,$<CONFIG:Release>>:-Wno-maybe-uninitialized>
)

#include "plugins/vulkan/compiler.hpp"

#include <doctest/doctest.h>
#include <vulkan/vulkan_core.h>

#include "base/error.hpp"

namespace flagos::vulkan::test {
namespace {

constexpr const char* two_kernels = R"(#version 460
#pragma flagos kernel(first, second)
layout(local_size_x = COUNT) in;
layout(set = 0, binding = 0) buffer Words { uint at[]; } words;
#ifdef FLAGOS_KERNEL_first
void main() { words.at[gl_GlobalInvocationID.x] = 1; }
#endif
#ifdef FLAGOS_KERNEL_second
void main() { words.at[gl_GlobalInvocationID.x] = VALUE; }
#endif
)";

// A machine may have no compiler: then the format is not offered, and there is nothing to test.
bool is_there() {
  if (has_compiler()) return true;
  MESSAGE("no compiler for glsl here");
  return false;
}

TEST_CASE("compiler: every kernel that the source names is a module of its own") {
  if (!is_there()) return;
  const CompiledKernels compiled =
      compile_glsl(two_kernels, "-DCOUNT=4 -O -DVALUE", VK_API_VERSION_1_2, true);
  CAPTURE(compiled.log);
  REQUIRE(compiled.succeeded);
  REQUIRE(compiled.modules.size() == 2);
  for (const Words& words : compiled.modules) validate_spirv(words, VK_API_VERSION_1_2);
  CHECK(compiled.modules[0] != compiled.modules[1]);
}

TEST_CASE("compiler: errors stand in the log, once") {
  if (!is_there()) return;
  const CompiledKernels compiled = compile_glsl(two_kernels, "-DCOUNT=4", VK_API_VERSION_1_2, true);
  CHECK_FALSE(compiled.succeeded);
  CHECK(compiled.log.find("VALUE") != std::string::npos);
  CHECK(compile_glsl("not glsl {{", "", VK_API_VERSION_1_2, true).succeeded == false);
}

TEST_CASE("compiler: an option that it does not know is named") {
  if (!is_there()) return;
  try {
    compile_glsl(two_kernels, "-DCOUNT=4 --fast", VK_API_VERSION_1_2, true);
    FAIL("it was taken");
  } catch (const Error& error) {
    CHECK(error.status() == FLAGOS_STATUS_INVALID_ARGUMENT);
    CHECK(std::string(error.what()).find("--fast") != std::string::npos);
  }
}

}  // namespace
}  // namespace flagos::vulkan::test

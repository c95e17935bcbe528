// The C functions that lower: targets, handles, struct sizes.
#include <doctest/doctest.h>
#include <flagos_compiler.h>

#include <cstring>
#include <string>
#include <vector>

namespace {

constexpr const char* kText = "flagos.tile 1.0\n\nkernel @none() {\n}\n";

bool said(const std::string& words) {
  return std::string(flagos_compiler_last_error()).find(words) != std::string::npos;
}

struct Module {
  Module() {
    flagos_tile_module_desc_t desc{};
    desc.struct_size = sizeof desc;
    desc.text = kText;
    desc.size_bytes = std::strlen(kText);
    REQUIRE(flagos_tile_module_create(&desc, &handle) == FLAGOS_STATUS_OK);
  }
  ~Module() { flagos_tile_module_destroy(handle); }
  flagos_tile_module_t* handle = nullptr;
};

}  // namespace

TEST_CASE("dialects") {
  std::vector<std::string> names;
  const char* name = nullptr;
  for (uint32_t i = 0; flagos_tile_get_dialect(i, &name) == FLAGOS_STATUS_OK; ++i) names.emplace_back(name);
  CHECK(names == std::vector<std::string>{"gnu-c++", "opencl-c", "glsl", "cuda-c", "tile-c"});
  CHECK(flagos_tile_get_dialect(99, &name) == FLAGOS_STATUS_NOT_FOUND);
  CHECK(name == nullptr);
  CHECK(flagos_tile_get_dialect(0, nullptr) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(flagos_tile_get_lowering_version() != 0);
  CHECK(flagos_tile_get_lowering_version() == flagos_tile_get_lowering_version());
}

TEST_CASE("targets and handles that are wrong") {
  const Module module;
  flagos_tile_source_t* source = nullptr;
  for (const char* target : {"", "fortran", "gnu-c++;speed=high", "opencl-c;threads=0", "gnu-c++;isa=", ";"}) {
    CAPTURE(target);
    source = reinterpret_cast<flagos_tile_source_t*>(16);
    CHECK(flagos_tile_module_lower(module.handle, target, &source) == FLAGOS_STATUS_INVALID_ARGUMENT);
    CHECK(source == nullptr);
    CHECK(said(std::string("'") + target + "'"));
  }
  CHECK(flagos_tile_module_lower(nullptr, "gnu-c++", &source) == FLAGOS_STATUS_INVALID_HANDLE);
  CHECK(flagos_tile_module_lower(module.handle, nullptr, &source) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(flagos_tile_module_lower(module.handle, "gnu-c++", nullptr) == FLAGOS_STATUS_INVALID_ARGUMENT);

  auto* const no_source = reinterpret_cast<flagos_tile_source_t*>(module.handle);
  flagos_tile_source_info_t info{};
  info.struct_size = sizeof info;
  CHECK(flagos_tile_source_get_info(nullptr, &info) == FLAGOS_STATUS_INVALID_HANDLE);
  flagos_tile_launch_info_t launch{};
  launch.struct_size = sizeof launch;
  CHECK(flagos_tile_source_get_launch_info(no_source, 0, &launch) == FLAGOS_STATUS_INVALID_HANDLE);
  CHECK(said("is no live source"));
  CHECK(flagos_tile_source_destroy(nullptr) == FLAGOS_STATUS_OK);
  CHECK(flagos_tile_source_destroy(reinterpret_cast<flagos_tile_source_t*>(8)) == FLAGOS_STATUS_INVALID_HANDLE);
}

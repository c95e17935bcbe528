// The C functions that lower: targets, handles, struct sizes.
#include <doctest/doctest.h>
#include <flagos_compiler.h>
#include <fmt/format.h>

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

TEST_CASE("what the assertions of a kernel say") {
  // The place is not part of the number: a kernel is not made anew where only that has changed.
  const std::string text =
      "flagos.tile 1.0\nkernel @none() {\n}\nkernel @k(%x: i32) {\n%c = gt %x, %x : i1\nassert %c "
      "{message=\"first\"}\nif %c "
      "then {\nassert %c {message=\"second\"}\nassert %c {message=\"first\"}\nyield\n}\n}\n";
  flagos_tile_module_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.text = text.c_str();
  desc.size_bytes = text.size();
  flagos_tile_module_t* module = nullptr;
  REQUIRE(flagos_tile_module_create(&desc, &module) == FLAGOS_STATUS_OK);
  for (const char* target : {"opencl-c;schedule=serial", "opencl-c", "glsl", "cuda-c"}) {
    CAPTURE(target);
    flagos_tile_source_t* source = nullptr;
    REQUIRE(flagos_tile_module_lower(module, target, &source) == FLAGOS_STATUS_OK);
    flagos_tile_source_info_t info{};
    info.struct_size = sizeof info;
    REQUIRE(flagos_tile_source_get_info(source, &info) == FLAGOS_STATUS_OK);
    std::uint32_t number = 0;
    const char* message = nullptr;
    for (std::uint32_t i = 0; i < 2; ++i) {
      REQUIRE(flagos_tile_source_get_assertion(source, 1, i, &number, &message) == FLAGOS_STATUS_OK);
      CHECK(std::string(message) == (i == 0 ? "first" : "second"));
      CHECK(number > 0);
      CHECK(number < 0x10000);
      const std::string word = fmt::format("{:#x}", FLAGOS_STATUS_EXECUTION_FAILED | number << 8);
      CHECK(std::string(info.text).find(word) != std::string::npos);
    }
    CHECK(flagos_tile_source_get_assertion(source, 1, 2, &number, &message) == FLAGOS_STATUS_NOT_FOUND);
    CHECK(number == 0);
    CHECK(message == nullptr);
    CHECK(flagos_tile_source_get_assertion(source, 0, 0, &number, &message) == FLAGOS_STATUS_NOT_FOUND);
    CHECK(flagos_tile_source_get_assertion(source, 2, 0, &number, &message) == FLAGOS_STATUS_NOT_FOUND);
    CHECK(flagos_tile_source_get_assertion(source, 1, 0, nullptr, &message) == FLAGOS_STATUS_INVALID_ARGUMENT);
    CHECK(flagos_tile_source_get_assertion(source, 1, 0, &number, nullptr) == FLAGOS_STATUS_INVALID_ARGUMENT);
    CHECK(flagos_tile_source_destroy(source) == FLAGOS_STATUS_OK);
    CHECK(flagos_tile_source_get_assertion(source, 1, 0, &number, &message) == FLAGOS_STATUS_INVALID_HANDLE);
  }
  // Kernels in C++ give the sentence themselves.
  flagos_tile_source_t* source = nullptr;
  REQUIRE(flagos_tile_module_lower(module, "gnu-c++", &source) == FLAGOS_STATUS_OK);
  std::uint32_t number = 0;
  const char* message = nullptr;
  CHECK(flagos_tile_source_get_assertion(source, 1, 0, &number, &message) == FLAGOS_STATUS_NOT_FOUND);
  CHECK(flagos_tile_source_destroy(source) == FLAGOS_STATUS_OK);
  CHECK(flagos_tile_module_destroy(module) == FLAGOS_STATUS_OK);
}

TEST_CASE("a source, its launch records and its end") {
  constexpr const char* text =
      "flagos.tile 1.0\n\nkernel @none() {\n}\n\nkernel @product(%x: ptr<f32>) {\n  %0 = view %x {shape=[8, 8], "
      "strides=[8, 1]} : view<f32, 2>\n  %1 = const {value=0} : i32\n  %2 = load %0, %1, %1 : tile<8x8xf32>\n  %3 = "
      "dot %2, "
      "%2, %2 : tile<8x8xf32>\n  store %0, %1, %1, %3\n}\n";
  flagos_tile_module_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.text = text;
  desc.size_bytes = std::strlen(text);
  flagos_tile_module_t* module = nullptr;
  REQUIRE(flagos_tile_module_create(&desc, &module) == FLAGOS_STATUS_OK);
  flagos_tile_source_t* source = nullptr;
  REQUIRE(flagos_tile_module_lower(module, "gnu-c++;isa=x86-64-v3", &source) == FLAGOS_STATUS_OK);
  CHECK(flagos_tile_module_destroy(module) == FLAGOS_STATUS_OK);  // the source stands for itself

  struct Larger {
    flagos_tile_source_info_t info;
    unsigned char tail[8];
  } larger{};
  std::memset(&larger, 0xff, sizeof larger);
  larger.info.struct_size = sizeof larger;
  REQUIRE(flagos_tile_source_get_info(source, &larger.info) == FLAGOS_STATUS_OK);
  CHECK(larger.info.struct_size == sizeof larger);
  CHECK(larger.tail[7] == 0);
  CHECK(larger.info.kernel_count == 2);
  CHECK(larger.info.size_bytes == std::strlen(larger.info.text));
  CHECK(std::string(larger.info.text).find("product") != std::string::npos);
  CHECK(std::string(larger.info.target) == "gnu-c++;isa=x86-64-v3");
  CHECK(std::string(larger.info.options) == "optimize=2 isa=x86-64-v3");
  flagos_tile_launch_info_t launch{};
  launch.struct_size = sizeof launch;
  REQUIRE(flagos_tile_source_get_launch_info(source, 1, &launch) == FLAGOS_STATUS_OK);
  CHECK(std::string(launch.name) == "product");
  CHECK(launch.threads == 1);
  CHECK(launch.shared_bytes == 0);
  CHECK(launch.flags == 0);
  CHECK(flagos_tile_source_get_launch_info(source, 2, &launch) == FLAGOS_STATUS_NOT_FOUND);
  CHECK(launch.name == nullptr);
  launch.struct_size = 8;
  CHECK(flagos_tile_source_get_launch_info(source, 0, &launch) == FLAGOS_STATUS_INVALID_STRUCT_SIZE);
  CHECK(flagos_tile_source_get_info(source, nullptr) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(flagos_tile_source_destroy(source) == FLAGOS_STATUS_OK);
  CHECK(flagos_tile_source_destroy(source) == FLAGOS_STATUS_INVALID_HANDLE);
  CHECK(flagos_tile_source_get_info(source, &larger.info) == FLAGOS_STATUS_INVALID_HANDLE);
}

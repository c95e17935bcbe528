// Portable kernels: text in flagos.tile that the device's plugin compiles or takes as it is.
#include <flagos.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "conformance/case.hpp"
#include "conformance/cases/data.hpp"

namespace flagos::conformance {
namespace {

using namespace data;

constexpr const char* format = "flagos.tile";

// What was compiled before is not used: these cases run in processes of their own.
void forget_kernels() { setenv("FLAGOS_KERNEL_CACHE", "off", 1); }

// y = x * factor
std::string scale_by(std::uint32_t factor) {
  return "flagos.tile 1.0\n\n"
         "kernel @scale(%x: ptr<i32> {readonly}, %y: ptr<i32>, %n: i32) constexpr(BLOCK=256) {\n"
         "  %0 = view %x, %n {shape=[?], strides=[1]} : view<i32, 1>\n"
         "  %1 = program_id {axis=0} : i32\n"
         "  %2 = const {value=256} : i32\n"
         "  %3 = mul %1, %2 : i32\n"
         "  %4 = load %0, %3 : tile<256xi32>\n"
         "  %5 = const {value=" +
         std::to_string(factor) +
         "} : tile<256xi32>\n"
         "  %6 = mul %4, %5 : tile<256xi32>\n"
         "  %7 = view %y, %n {shape=[?], strides=[1]} : view<i32, 1>\n"
         "  store %7, %3, %6\n"
         "}\n";
}

bool takes_tile(Context& t) {
  flagos_format_info_t info{};
  for (std::uint32_t i = 0;; ++i) {
    info.struct_size = sizeof info;
    if (flagos_module_get_format(t.device(), i, &info) != FLAGOS_STATUS_OK) return false;
    if (std::strcmp(info.name, format) == 0) return true;
  }
}

void check_scale(Context& t, flagos_module_t* module, std::uint32_t factor) {
  constexpr std::uint32_t count = 1000;
  flagos_kernel_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.name = "scale";
  flagos_kernel_t* kernel = nullptr;
  t.ok(flagos_module_get_kernel(module, &desc, &kernel), "find the kernel");
  Stream stream(t);
  Buffer x(t, count * 4), y(t, count * 4);
  const auto bytes = t.random_bytes(count * 4);
  x.write(bytes);
  launch(t, stream, kernel, {(count + 255) / 256, 1, 1}, {1, 1, 1},
         {arg(x.address()), arg(y.address()), {FLAGOS_DTYPE_INT32, 0, count}});
  synchronize(t, stream);
  std::vector<std::uint8_t> expected(count * 4);
  for (std::uint32_t i = 0; i < count; ++i) {
    std::uint32_t value = 0;
    std::memcpy(&value, bytes.data() + i * 4, 4);
    value *= factor;
    std::memcpy(expected.data() + i * 4, &value, 4);
  }
  t.equal_bytes(y.read(), expected, "the products");
}

flagos_module_desc_t desc_of(const std::string& text, const char* name = format) {
  flagos_module_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.format = name;
  desc.data = text.data();
  desc.size_bytes = text.size();
  return desc;
}

}  // namespace

FLAGOS_CASE("mod.tile.load", {.clause = "flagos_module_load of flagos.tile",
                              .level = Level::full,
                              .isolation = Isolation::own}) {
  forget_kernels();
  if (!takes_tile(t)) t.not_supported("the device takes no portable kernels");
  for (int round = 0; round < 2; ++round) {
    const auto factor = static_cast<std::uint32_t>(3 + t.random_below(1'000'000));
    t.subcase("a factor of " + std::to_string(factor));
    const std::string text = scale_by(factor);
    const auto desc = desc_of(text);
    flagos_module_t* module = nullptr;
    const flagos_status_t status = flagos_module_load(t.device(), &desc, &module);
    if (status == FLAGOS_STATUS_UNSUPPORTED)
      t.not_supported("this installation compiles no portable kernels");
    t.ok(status, "load the text");
    check_scale(t, module, factor);
    t.ok(flagos_module_unload(module), "unload it");
  }
}

FLAGOS_CASE("mod.tile.compile",
            {.clause = "flagos_module_compile of flagos.tile: a blob that loads",
             .level = Level::optional,
             .isolation = Isolation::own,
             .feature = "compile"}) {
  forget_kernels();
  if (!takes_tile(t)) t.not_supported("the device takes no portable kernels");
  const auto factor = static_cast<std::uint32_t>(3 + t.random_below(1'000'000));
  const std::string text = scale_by(factor);
  const auto desc = desc_of(text);
  flagos_blob_t* blob = nullptr;
  const flagos_status_t status = flagos_module_compile(t.device(), &desc, &blob);
  if (status == FLAGOS_STATUS_UNSUPPORTED)
    t.not_supported("the device compiles nothing ahead of its launch");
  t.ok(status, "compile the text");
  const void* data = nullptr;
  std::uint64_t size = 0;
  const char* name = nullptr;
  t.ok(flagos_blob_get_data(blob, &data, &size, &name), "its bytes and its format");
  const std::string bytes(static_cast<const char*>(data), size);
  const std::string its_format = name;
  t.ok(flagos_blob_destroy(blob), "it is given back");
  const auto again = desc_of(bytes, its_format.c_str());
  flagos_module_t* module = nullptr;
  t.ok(flagos_module_load(t.device(), &again, &module), "load what was compiled");
  check_scale(t, module, factor);
  t.ok(flagos_module_unload(module), "unload it");
}

}  // namespace flagos::conformance

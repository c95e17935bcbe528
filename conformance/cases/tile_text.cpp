#include "conformance/cases/tile_text.hpp"

#include <cstring>
#include <vector>

namespace flagos::conformance::tile {

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

bool is_taken(Context& t) {
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
  stream.synchronize();
  std::vector<std::uint8_t> expected(count * 4);
  for (std::uint32_t i = 0; i < count; ++i) {
    std::uint32_t value = 0;
    std::memcpy(&value, bytes.data() + i * 4, 4);
    value *= factor;
    std::memcpy(expected.data() + i * 4, &value, 4);
  }
  t.equal_bytes(y.read(), expected, "the products");
}

flagos_module_desc_t desc_of(const std::string& text, const char* name) {
  flagos_module_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.format = name;
  desc.data = text.data();
  desc.size_bytes = text.size();
  return desc;
}

bool loads(Context& t, std::uint32_t factor) {
  const std::string text = scale_by(factor);
  const auto desc = desc_of(text);
  flagos_module_t* module = nullptr;
  const flagos_status_t status = flagos_module_load(t.device(), &desc, &module);
  if (status == FLAGOS_STATUS_UNSUPPORTED) return false;
  t.ok(status, "load the text");
  check_scale(t, module, factor);
  t.ok(flagos_module_unload(module), "unload it");
  return true;
}

}  // namespace flagos::conformance::tile

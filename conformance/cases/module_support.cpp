// What the cases on modules share.
#include "conformance/cases/module_support.hpp"

#include <algorithm>
#include <cstring>

namespace flagos::conformance {

flagos_format_info_t format_info(Context& t, const std::string& format) {
  std::uint32_t count = 0;
  t.ok(flagos_module_get_format_count(t.device(), &count), "how many formats there are");
  for (std::uint32_t i = 0; i < count; ++i) {
    flagos_format_info_t info{};
    info.struct_size = sizeof info;
    t.ok(flagos_module_get_format(t.device(), i, &info), "a format");
    if (format == info.name) return info;
  }
  t.fail("the format of the suite's pack is not listed: " + format);
}

flagos_module_desc_t module_desc(const std::string& format, std::span<const std::uint8_t> image) {
  flagos_module_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.format = format.c_str();
  desc.data = image.data();
  desc.size_bytes = image.size();
  return desc;
}

flagos_kernel_desc_t kernel_desc(const char* name) {
  flagos_kernel_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.name = name;
  return desc;
}

Module::Module(Context& t, const std::string& format, std::span<const std::uint8_t> image) : t_(t) {
  const auto desc = module_desc(format, image);
  t.ok(flagos_module_load(t.device(), &desc, &module_), "the suite's image is loaded");
}

flagos_kernel_t* Module::kernel(const std::string& name) {
  const auto desc = kernel_desc(name.c_str());
  flagos_kernel_t* kernel = nullptr;
  t_.ok(flagos_module_get_kernel(module_, &desc, &kernel), "the kernel " + name);
  return kernel;
}

std::vector<std::uint32_t> run_reader(Context& t, flagos_kernel_t* kernel) {
  Stream stream(t);
  Words words(t, 4);
  launch(t, stream, kernel, {1, 1, 1}, {1, 1, 1}, {arg(words.at())});
  stream.synchronize();
  return words.read();
}

std::string run_marker(Context& t, flagos_kernel_t* kernel) {
  const auto words = run_reader(t, kernel);
  return {reinterpret_cast<const char*>(words.data()), 16};
}

void check_module_works(Context& t, Module& module) {
  t.check(run_marker(t, module.kernel("mod_read_marker")) == "FLAGOS-MARK-0001",
          "a kernel of the module reads its data");
  equal_words(t, run_reader(t, module.kernel("mod_read_global_negated")), {~11u, ~22u, ~33u, ~44u},
              "another kernel of it");
}

std::vector<std::uint8_t> with_marker(Context& t, std::vector<std::uint8_t> image,
                                      const std::string& digits) {
  const std::string marker = "FLAGOS-MARK-";
  bool found = false;
  auto at = image.begin();
  while ((at = std::search(at, image.end(), marker.begin(), marker.end())) != image.end()) {
    at += static_cast<std::ptrdiff_t>(marker.size());
    if (image.end() - at < 4) break;
    std::copy(digits.begin(), digits.end(), at);
    found = true;
  }
  // In SPIR-V every four letters are a constant of their own, aligned to a word.
  for (std::size_t word = 0; !found && is_spirv(image) && word + 4 <= image.size(); word += 4) {
    if (std::memcmp(image.data() + word, "0001", 4) != 0) continue;
    std::copy(digits.begin(), digits.end(), image.begin() + static_cast<std::ptrdiff_t>(word));
    found = true;
  }
  t.check(found, "the marker stands in the suite's image");
  return image;
}

flagos_status_t run_marker_on(flagos_device_t* device, const std::string& format,
                              std::span<const std::uint8_t> image) {
  const auto desc = module_desc(format, image);
  const auto lookup = kernel_desc("mod_read_marker");
  flagos_memory_desc_t memory{};
  memory.struct_size = sizeof memory;
  memory.kind = FLAGOS_MEMORY_KIND_DEVICE;
  memory.size_bytes = 16;
  flagos_module_t* module = nullptr;
  flagos_kernel_t* kernel = nullptr;
  flagos_stream_t* stream = nullptr;
  flagos_address_t target = 0;
  char text[16] = {};
  const auto run = [&]() -> flagos_status_t {
    const auto first_error = [](std::initializer_list<flagos_status_t> all) {
      return *std::find_if(all.begin(), all.end() - 1,
                           [](flagos_status_t s) { return s != FLAGOS_STATUS_OK; });
    };
    const flagos_status_t made = first_error({flagos_module_load(device, &desc, &module),
                                              flagos_module_get_kernel(module, &lookup, &kernel),
                                              flagos_stream_create(device, nullptr, &stream),
                                              flagos_memory_alloc(device, &memory, &target)});
    if (made != FLAGOS_STATUS_OK) return made;
    const std::vector<flagos_argument_t> arguments{arg(target)};
    const auto launch = launch_desc({1, 1, 1}, {1, 1, 1}, arguments);
    const flagos_status_t ran = first_error(
        {flagos_kernel_launch(stream, kernel, &launch),
         flagos_memory_copy(stream, reinterpret_cast<flagos_address_t>(text), target, 16),
         flagos_stream_synchronize(stream, patience_ns)});
    if (ran != FLAGOS_STATUS_OK) return ran;
    return std::memcmp(text, "FLAGOS-MARK-0001", 16) == 0 ? FLAGOS_STATUS_OK
                                                          : FLAGOS_STATUS_INTERNAL;
  };
  const flagos_status_t status = run();
  flagos_memory_free(device, target);
  flagos_stream_destroy(stream);
  flagos_module_unload(module);
  return status;
}

flagos_status_t try_load(Context& t, const std::string& format, std::span<const std::uint8_t> image,
                         bool* out_works) {
  const auto desc = module_desc(format, image);
  auto* module = reinterpret_cast<flagos_module_t*>(0x55);
  const flagos_status_t status = flagos_module_load(t.device(), &desc, &module);
  if (status != FLAGOS_STATUS_OK) {
    t.check(module == nullptr, "the out parameter of a failed load is NULL");
    return status;
  }
  Module owner(t, module);
  const auto lookup = kernel_desc("mod_read_marker");
  flagos_kernel_t* kernel = nullptr;
  const bool found = flagos_module_get_kernel(module, &lookup, &kernel) == FLAGOS_STATUS_OK;
  if (out_works != nullptr) *out_works = found && run_marker(t, kernel) == "FLAGOS-MARK-0001";
  return status;
}

bool is_elf(const std::vector<std::uint8_t>& image) {
  return image.size() > 64 && std::memcmp(image.data(), "\177ELF", 4) == 0;
}

bool is_spirv(const std::vector<std::uint8_t>& image) {
  return image.size() > 20 && std::memcmp(image.data(), "\x03\x02\x23\x07", 4) == 0;
}

bool is_binary(const std::vector<std::uint8_t>& image) { return is_elf(image) || is_spirv(image); }

}  // namespace flagos::conformance

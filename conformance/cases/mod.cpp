// Modules: loading good images from everywhere, finding kernels and globals, and unloading.
#include <flagos.h>

#include <algorithm>
#include <cstring>

#include "conformance/cases/module_support.hpp"
#include "conformance/cases/process.hpp"

namespace flagos::conformance {

FLAGOS_CASE("mod.formats", {.clause = "flagos_module_get_format", .oracle = Oracle::exact}) {
  constexpr std::uint32_t known = FLAGOS_FORMAT_FLAG_LOAD | FLAGOS_FORMAT_FLAG_COMPILE |
                                  FLAGOS_FORMAT_FLAG_PATH | FLAGOS_FORMAT_FLAG_REFLECTION;
  const auto read = [&](std::uint32_t index, flagos_format_info_t& info) {
    info = {};
    info.struct_size = sizeof info;
    return flagos_module_get_format(t.device(), index, &info);
  };
  flagos_format_info_t info, again;
  std::uint32_t count = 0;
  for (; read(count, info) == FLAGOS_STATUS_OK; ++count) {
    t.subcase("format " + std::to_string(count));
    t.check(info.name[0] != '\0' && std::memchr(info.name, 0, sizeof info.name) != nullptr,
            "it has a name");
    t.check(std::memchr(info.version, 0, sizeof info.version) != nullptr &&
                std::memchr(info.target, 0, sizeof info.target) != nullptr,
            "its texts end");
    t.equal(info.flags & ~known, 0, "flags that no header has");
    t.check((info.flags & (FLAGOS_FORMAT_FLAG_LOAD | FLAGOS_FORMAT_FLAG_COMPILE)) != 0,
            "it is loaded or compiled");
    t.check(info.schedule_class >= FLAGOS_SCHEDULE_CLASS_SERIAL &&
                info.schedule_class <= FLAGOS_SCHEDULE_CLASS_TILE,
            "the schedule class is known");
    t.ok(read(count, again), "the same index again");
    t.check(std::memcmp(&info, &again, sizeof info) == 0, "it is described as before");
  }
  t.status(read(count, info), FLAGOS_STATUS_NOT_FOUND, "an index behind the last one");
  t.check(count > 0, "the device takes a format");
  t.smoke();
}

FLAGOS_CASE("mod.load.good", {.clause = "flagos_module_load"}) {
  std::string format;
  const auto image = t.module_image(&format);
  t.subcase("from memory");
  {
    Module module(t, format, image);
    check_module_works(t, module);
  }
  t.subcase("from an unaligned buffer");
  {
    std::vector<std::uint8_t> shifted(image.size() + 1);
    std::copy(image.begin(), image.end(), shifted.begin() + 1);
    Module module(t, format, std::span(shifted).subspan(1));
    check_module_works(t, module);
  }
  t.subcase("from a file");
  if ((format_info(t, format).flags & FLAGOS_FORMAT_FLAG_PATH) != 0) {
    const std::string path = t.module_path();
    flagos_module_desc_t desc = module_desc(format, {});
    desc.data = nullptr;
    desc.path = path.c_str();
    flagos_module_t* module = nullptr;
    t.ok(flagos_module_load(t.device(), &desc, &module), "a module from a file");
    Module owner(t, module);
    check_module_works(t, owner);
    const std::string missing = path + ".missing";
    desc.path = missing.c_str();
    t.status(flagos_module_load(t.device(), &desc, &module), FLAGOS_STATUS_NOT_FOUND,
             "a file that is not there");
    t.check(module == nullptr, "the out parameter is NULL");
  }
}

FLAGOS_CASE("mod.load.buffer_freed_after", {.clause = "the image is not needed afterwards"}) {
  std::string format;
  auto image = t.module_image(&format);
  Module module(t, format, image);
  std::fill(image.begin(), image.end(), std::uint8_t{0xee});
  image.clear();
  image.shrink_to_fit();
  check_module_works(t, module);
}

FLAGOS_CASE("mod.load.huge",
            {.clause = "flagos_module_load", .level = Level::full, .isolation = Isolation::own}) {
  std::string format;
  auto image = t.module_image(&format);
  // Bytes behind the last section of a shared object are allowed, and blanks behind a text.
  const bool text = std::find(image.begin(), image.end(), 0) == image.end();
  image.resize(image.size() + (t.settings().quick ? 4u << 20 : 64u << 20), text ? ' ' : 0);
  Module module(t, format, image);
  check_module_works(t, module);
}

FLAGOS_CASE("mod.func.lookup", {.clause = "flagos_module_get_kernel"}) {
  std::string format;
  const auto image = t.module_image(&format);
  Module module(t, format, image);
  t.subcase("present");
  flagos_kernel_t* const kernel = module.kernel("mod_read_global");
  t.check(module.kernel("mod_read_global") == kernel, "two calls with one name give one handle");
  flagos_kernel_t* const longer = module.kernel("mod_read_global_negated");
  t.check(longer != kernel, "another name gives another kernel");
  equal_words(t, run_reader(t, kernel), {11, 22, 33, 44}, "the kernel of that name");
  equal_words(t, run_reader(t, longer), {~11u, ~22u, ~33u, ~44u},
              "the kernel whose name is longer");
  t.subcase("missing");
  for (const char* name : {"mod_read_globa", "mod_read_global_", "MOD_READ_GLOBAL",
                           "no such kernel", " mod_read_global"}) {
    auto* missing = reinterpret_cast<flagos_kernel_t*>(0x55);
    const auto desc = kernel_desc(name);
    t.status(flagos_module_get_kernel(module, &desc, &missing), FLAGOS_STATUS_NOT_FOUND, name);
    t.check(missing == nullptr, "the out parameter is NULL");
  }
  t.subcase("empty");
  auto* missing = reinterpret_cast<flagos_kernel_t*>(0x55);
  const auto desc = kernel_desc("");
  t.status(flagos_module_get_kernel(module, &desc, &missing), FLAGOS_STATUS_INVALID_ARGUMENT,
           "an empty name");
  t.check(missing == nullptr, "the out parameter is NULL");
}

FLAGOS_CASE("mod.func.names", {.clause = "flagos_module_get_kernel_name"}) {
  std::string format;
  const auto image = t.module_image(&format);
  Module module(t, format, image);
  std::uint32_t count = 0;
  t.ok(flagos_module_get_kernel_count(module, &count), "how many kernels there are");
  std::vector<std::string> names;
  for (std::uint32_t i = 0; i < count; ++i) {
    const char* name = nullptr;
    t.ok(flagos_module_get_kernel_name(module, i, &name), "the name of a kernel");
    names.emplace_back(name);
    if (names.back().starts_with("elfso_"))
      continue;  // plain functions are found with a signature only
    t.check(module.kernel(names.back()) != nullptr, "a kernel of that name is found");
  }
  for (const char* name : {"mod_read_global", "mod_read_marker", "tl_affine"}) {
    if (count == 0) break;  // the plugin keeps no names
    t.equal(static_cast<std::uint64_t>(std::count(names.begin(), names.end(), name)), 1,
            std::string("listed once: ") + name);
  }
  const char* name = "x";
  t.status(flagos_module_get_kernel_name(module, count, &name), FLAGOS_STATUS_NOT_FOUND,
           "past the end");
  t.check(name == nullptr, "the out parameter is NULL");
  check_module_works(t, module);
}

FLAGOS_CASE("mod.func.attrs", {.clause = "flagos_kernel_get_info"}) {
  std::string format;
  const auto image = t.module_image(&format);
  Module module(t, format, image);
  flagos_kernel_t* const kernel = module.kernel("tl_affine");
  flagos_kernel_info_t info{};
  info.struct_size = sizeof info;
  t.ok(flagos_kernel_get_info(kernel, &info), "what a kernel is");
  t.subcase("name");
  t.check(std::string(info.name) == "tl_affine", "the name is the one it was found by");
  t.subcase("threads");
  t.check(info.max_block_threads >= 1 && info.max_block_threads <= t.info().max_block_threads,
          "at least one thread, at most the device's limit");
  t.subcase("shared memory");
  t.check(info.static_shared_bytes <= t.info().max_shared_bytes, "no more than the device has");
  t.subcase("parameters");
  const bool reflection = (format_info(t, format).flags & FLAGOS_FORMAT_FLAG_REFLECTION) != 0;
  t.equal((info.flags & FLAGOS_KERNEL_FLAG_SIGNATURE) != 0, reflection,
          "the signature is known where the format says so");
  if (reflection) {
    t.equal(info.parameter_count, 4, "an address and three numbers");
    t.equal(info.argument_bytes, 24, "packed at natural alignment");
    const flagos_dtype_t dtypes[4] = {FLAGOS_DTYPE_ADDRESS, FLAGOS_DTYPE_UINT32,
                                      FLAGOS_DTYPE_UINT32, FLAGOS_DTYPE_UINT32};
    const std::uint32_t offsets[4] = {0, 8, 12, 16};
    for (std::uint32_t i = 0; i < 4; ++i) {
      flagos_parameter_t parameter{};
      t.ok(flagos_kernel_get_parameter(kernel, i, &parameter), "a parameter");
      t.equal(parameter.dtype, dtypes[i], "its type");
      t.equal(parameter.offset_bytes, offsets[i], "its offset");
      t.equal(parameter.size_bytes, i == 0 ? 8 : 4, "its size");
    }
  } else {
    t.equal(info.parameter_count + info.argument_bytes, 0, "without a signature both are 0");
  }
  flagos_parameter_t parameter{};
  t.status(flagos_kernel_get_parameter(kernel, info.parameter_count, &parameter),
           FLAGOS_STATUS_NOT_FOUND, "past the end");
  check_module_works(t, module);
}

FLAGOS_CASE("mod.func.after_unload",
            {.clause = "kernels go with their module", .oracle = Oracle::code}) {
  std::string format;
  const auto image = t.module_image(&format);
  flagos_kernel_t* kernel = nullptr;
  flagos_module_t* handle = nullptr;
  Stream stream(t);
  {
    Module module(t, format, image);
    kernel = module.kernel("mod_read_global");
    handle = module;
  }
  t.subcase("the kernel");
  Words words(t, 4);
  const std::vector<flagos_argument_t> arguments{arg(words.at())};
  const auto desc = launch_desc({1, 1, 1}, {1, 1, 1}, arguments);
  t.status(flagos_kernel_launch(stream, kernel, &desc), FLAGOS_STATUS_INVALID_HANDLE, "a launch");
  flagos_kernel_info_t info{};
  info.struct_size = sizeof info;
  t.status(flagos_kernel_get_info(kernel, &info), FLAGOS_STATUS_INVALID_HANDLE, "a query");
  t.subcase("the module");
  flagos_kernel_t* found = nullptr;
  const auto lookup = kernel_desc("mod_read_global");
  t.status(flagos_module_get_kernel(handle, &lookup, &found), FLAGOS_STATUS_INVALID_HANDLE,
           "a lookup");
  t.status(flagos_module_unload(handle), FLAGOS_STATUS_INVALID_HANDLE, "a second unload");
  equal_words(t, run_reader(t, t.kernel("mod_read_global")), {11, 22, 33, 44},
              "the same image loaded elsewhere works");
}

FLAGOS_CASE("mod.global.lookup", {.clause = "flagos_module_get_global",
                                  .level = Level::full,
                                  .feature = "module_global"}) {
  t.require(FLAGOS_FEATURE_MODULE_GLOBAL);
  std::string format;
  const auto image = t.module_image(&format);
  Module module(t, format, image);
  flagos_address_t address = 0;
  std::uint64_t size = 0;
  t.subcase("address");
  t.ok(flagos_module_get_global(module, "mod_global", &address, &size), "a global");
  Stream stream(t);
  std::vector<std::uint32_t> values(4, 0);
  t.ok(flagos_memory_copy(stream, reinterpret_cast<flagos_address_t>(values.data()), address, 16),
       "a copy from it");
  stream.synchronize();
  equal_words(t, values, {11, 22, 33, 44}, "its initial value");
  t.subcase("size");
  t.equal(size, 16, "its size");
  t.subcase("missing");
  t.status(flagos_module_get_global(module, "mod_globa", &address, &size), FLAGOS_STATUS_NOT_FOUND,
           "a name nobody has");
  t.equal(address + size, 0, "the out parameters are cleared");
}

FLAGOS_CASE("mod.unload.pending",
            {.clause = "kernels go with their module, after pending launches"}) {
  std::string format;
  const auto image = t.module_image(&format);
  Stream stream(t);
  Words words(t, 64, 1), read(t, 4);
  Blocker blocker(t, stream);
  {
    Module module(t, format, image);
    launch(t, stream, module.kernel("tl_affine"), {1, 1, 1}, {64, 1, 1},
           {arg(words.at()), arg_u32(64), arg_u32(3), arg_u32(4)});
    launch(t, stream, module.kernel("mod_read_global"), {1, 1, 1}, {1, 1, 1}, {arg(read.at())});
  }
  nap(0.02);
  blocker.release();
  stream.synchronize();
  equal_words(t, words.read(), std::vector<std::uint32_t>(64, 7),
              "a launch that was pending at the unload runs");
  equal_words(t, read.read(), {11, 22, 33, 44}, "with the module's data");
}

FLAGOS_CASE("mod.unload.cycle", {.clause = "flagos_module_unload",
                                 .oracle = Oracle::delta,
                                 .isolation = Isolation::own}) {
  const std::uint32_t cycles = repeats(t, 10'000, 200);
  const double end =
      now_seconds() + 10;  // a slow machine does fewer cycles, but never fewer than these
  std::string format;
  const auto image = t.module_image(&format);
  const auto lap = [&](std::uint32_t count) {
    for (std::uint32_t i = 0; i < count && (i < 200 || now_seconds() < end); ++i) {
      Module module(t, format, image);
      if (i % 20 == 0)
        equal_words(t, run_reader(t, module.kernel("mod_read_global")), {11, 22, 33, 44},
                    "each of them works");
    }
  };
  lap(cycles / 10);
  const auto before = resources_now();
  lap(cycles);
  const auto after = resources_now();
  t.check(after.file_descriptors <= before.file_descriptors + 4,
          "no file descriptors are left behind");
  t.check(after.maps <= before.maps + 40, "no mappings are left behind");
  t.check(after.rss_bytes <= before.rss_bytes + (24u << 20), "no memory is left behind");
  t.check(after.threads <= before.threads + 2, "no threads are left behind");
}

FLAGOS_CASE("mod.multi.same_name", {.clause = "a kernel belongs to its module"}) {
  std::string format;
  const auto first_image = t.module_image(&format);
  const auto second_image = with_marker(t, first_image, "7777");
  Module first(t, format, first_image), second(t, format, second_image);
  flagos_kernel_t* const one = first.kernel("mod_read_marker");
  flagos_kernel_t* const two = second.kernel("mod_read_marker");
  t.check(one != two, "two modules have two kernels");
  for (int round = 0; round < 3; ++round) {
    t.check(run_marker(t, one) == "FLAGOS-MARK-0001", "the first module's kernel");
    t.check(run_marker(t, two) == "FLAGOS-MARK-7777", "the second module's kernel");
  }
  if (t.has(FLAGOS_FEATURE_MODULE_GLOBAL)) {
    flagos_address_t address = 0;
    std::uint64_t size = 0;
    t.ok(flagos_module_get_global(first, "mod_global", &address, &size),
         "the first module's global");
    Stream stream(t);
    const std::uint32_t values[4] = {1, 2, 3, 4};
    t.ok(flagos_memory_copy(stream, address, reinterpret_cast<flagos_address_t>(values), 16),
         "it is written");
    stream.synchronize();
    equal_words(t, run_reader(t, first.kernel("mod_read_global")), {1, 2, 3, 4},
                "the first module sees it");
    equal_words(t, run_reader(t, second.kernel("mod_read_global")), {11, 22, 33, 44},
                "the second one keeps its own");
  }
}

FLAGOS_CASE("mod.multi_device", {.clause = "flagos_module_load", .level = Level::full}) {
  std::string format;
  const auto image = t.module_image(&format);
  std::uint32_t count = 0;
  t.ok(flagos_device_get_count(t.runtime(), &count), "how many devices there are");
  for (std::uint32_t i = 0; i < count; ++i) {
    t.subcase("device " + std::to_string(i));
    flagos_device_t* device = nullptr;
    t.ok(flagos_device_open(t.runtime(), i, &device), "an open device");
    const flagos_status_t status = run_marker_on(device, format, image);
    t.ok(flagos_device_close(device), "it closes");
    t.ok(status, "a module is loaded and run on it");
  }
}

FLAGOS_CASE("mod.log", {.clause = "flagos_module_get_log"}) {
  std::string format;
  const auto image = t.module_image(&format);
  Module module(t, format, image);
  std::uint64_t size = 0;
  t.subcase("the size first");
  t.ok(flagos_module_get_log(module, 0, nullptr, &size), "a capacity of 0 asks for the size");
  t.check(size >= 1, "the size counts the NUL");
  t.subcase("then the text");
  char short_text[2] = {'x', 'x'};
  if (size > 1) {
    t.status(flagos_module_get_log(module, 1, short_text, &size), FLAGOS_STATUS_BUFFER_TOO_SMALL,
             "room for the NUL only");
    t.check(short_text[0] == 'x', "then nothing is written");
  }
  std::vector<char> text(size + 8, 'x');
  t.ok(flagos_module_get_log(module, size, text.data(), &size), "the text");
  t.equal(std::strlen(text.data()) + 1, size, "it ends with a NUL");
  t.check(text[size] == 'x', "nothing is written behind it");
  check_module_works(t, module);
}

FLAGOS_CASE("mod.binary", {.clause = "flagos_module_get_binary"}) {
  std::string format;
  const auto image = t.module_image(&format);
  Module module(t, format, image);
  check_module_works(t, module);
  std::uint64_t size = 0;
  const flagos_status_t first = flagos_module_get_binary(module, 0, nullptr, &size);
  if (first == FLAGOS_STATUS_UNSUPPORTED) {
    t.equal(size, 0, "the size is cleared where the plugin keeps no image");
    return;
  }
  t.ok(first, "a capacity of 0 asks for the size");
  std::vector<std::uint8_t> binary(size);
  t.status(flagos_module_get_binary(module, size - 1, binary.data(), &size),
           FLAGOS_STATUS_BUFFER_TOO_SMALL, "one byte short");
  t.ok(flagos_module_get_binary(module, size, binary.data(), &size), "the image");
  Module again(t, format, binary);
  check_module_works(t, again);
}

}  // namespace flagos::conformance

#include "core/tile_road.hpp"

#include <algorithm>
#include <cstring>

#include "core/entry.hpp"
#include "core/kernel_cache.hpp"
#include "core/kernel_dump.hpp"
#include "core/log.hpp"
#include "core/runtime.hpp"

namespace flagos::core {

namespace {

// Any address of this library: the compiler lies beside it.
const CompilerLibrary& compiler_beside_us() {
  return open_compiler(reinterpret_cast<const void*>(&compiler_beside_us));
}

// The target that a format tells, or one made of what the device says of itself.
std::string target_of(const Device& device, const flagos_format_info_t& format) {
  if (std::strncmp(format.target, format.name, std::strlen(format.name)) == 0) return format.target;
  std::string target = format.name;
  if (format.schedule_class == FLAGOS_SCHEDULE_CLASS_SERIAL) target += ";schedule=serial";
  if (format.schedule_class == FLAGOS_SCHEDULE_CLASS_SIMT) {
    constexpr std::uint32_t usual_threads = 128;
    const std::uint32_t most = std::min(device.info().max_block_threads, device.info().max_block[0]);
    target += fmt::format(";schedule=simt;threads={};local={}", std::min(usual_threads, most),
                          device.info().max_shared_bytes);
  }
  return target;
}

// The plugin's name for its compiler; without one, all that may stand for it.
std::string compiler_of(Device& device, const flagos_format_info_t& format) {
  const char* identity = nullptr;
  if (device.tables().has.compiler) {
    expect(device.tables().module.get_compiler(device.native(), format.name, &identity), "module.get_compiler");
    if (identity != nullptr && *identity != '\0') return identity;
  }
  return fmt::format("{} {} / {} / {}", device.plugin().name(), device.plugin().version(), device.info().name,
                     device.info().driver_version);
}

std::string join_options(const std::string& own, const std::string& given) {
  return own.empty() || given.empty() ? own + given : own + " " + given;
}

std::vector<TileRecord> records_of(const TileModule& module, const TileSource& source) {
  std::vector<TileRecord> records;
  for (std::uint32_t i = 0; i < module.kernels().size(); ++i) {
    const flagos_tile_launch_info_t launch = source.launch(i);
    TileRecord record;
    record.name = module.kernels()[i].name;
    if (record.name != launch.name) record.symbol = launch.name;
    record.threads = launch.threads;
    record.shared_bytes = static_cast<std::uint32_t>(std::min<std::uint64_t>(launch.shared_bytes, UINT32_MAX));
    record.scratch_bytes = launch.scratch_bytes;
    record.fails = (launch.flags & FLAGOS_TILE_LAUNCH_FLAG_FAILS) != 0;
    record.argument_bytes = module.kernels()[i].argument_bytes;
    record.parameters = module.kernels()[i].parameters;
    record.assertions = source.assertions(i);
    records.push_back(std::move(record));
  }
  return records;
}

}  // namespace

std::vector<flagos_format_info_t> plugin_formats(Device& device) {
  constexpr std::uint32_t most = 256;
  std::vector<flagos_format_info_t> formats;
  for (std::uint32_t i = 0; i < most; ++i) {
    flagos_format_info_t info{};
    info.struct_size = sizeof(info);
    const flagos_status_t status = device.tables().module.get_format(device.native(), i, &info);
    if (status == FLAGOS_STATUS_NOT_FOUND) return formats;
    expect(status, "module.get_format");
    info.struct_size = sizeof(info);
    for (auto [text, size] : {std::pair<char*, std::size_t>{info.name, sizeof(info.name)},
                              {info.version, sizeof(info.version)},
                              {info.target, sizeof(info.target)}})
      text[size - 1] = '\0';
    formats.push_back(info);
  }
  throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "the plugin reports more than {} formats", most);
}

std::vector<flagos_format_info_t> all_formats(Device& device) {
  constexpr std::int32_t below_all = -1000;  // who has a kernel in the device's own form prefers that
  std::vector<flagos_format_info_t> formats = plugin_formats(device);
  const auto has = [&](const char* name) {
    return std::any_of(formats.begin(), formats.end(), [&](const auto& f) { return std::strcmp(f.name, name) == 0; });
  };
  const auto own = std::find_if(formats.begin(), formats.end(),
                                [&](const auto& f) { return std::strcmp(f.name, tile_format) == 0; });
  const bool plugin_has_tile = own != formats.end();
  std::vector<std::string> dialects;
  try {
    dialects = dialects_of(compiler_beside_us());
  } catch (const Error&) {
    return formats;
  }
  const auto road = std::find_if(formats.begin(), formats.end(), [&](const auto& format) {
    return std::find(dialects.begin(), dialects.end(), format.name) != dialects.end();
  });
  if (road == formats.end()) return formats;
  const flagos_schedule_class_t schedule = road->schedule_class;
  const bool makes = (road->flags & (FLAGOS_FORMAT_FLAG_LOAD | FLAGOS_FORMAT_FLAG_COMPILE)) != 0;
  if (plugin_has_tile && makes) own->flags |= FLAGOS_FORMAT_FLAG_COMPILE;
  const auto add = [&](const char* name, std::uint32_t flags) {
    flagos_format_info_t info{};
    info.struct_size = sizeof(info);
    info.flags = flags | FLAGOS_FORMAT_FLAG_LOAD | FLAGOS_FORMAT_FLAG_REFLECTION;
    std::strcpy(info.name, name);
    std::strcpy(info.version, "1.0");
    info.priority = below_all;
    info.schedule_class = schedule;
    formats.push_back(info);
  };
  if (!plugin_has_tile && makes) add(tile_format, FLAGOS_FORMAT_FLAG_COMPILE);
  if (!has(tile_binary_format)) add(tile_binary_format, 0);
  return formats;
}

bool compiles(Device& device) {
  const auto formats = all_formats(device);
  return std::any_of(formats.begin(), formats.end(),
                     [](const auto& format) { return (format.flags & FLAGOS_FORMAT_FLAG_COMPILE) != 0; });
}

TileRoads::TileRoads(Device& device) try : device_(device), library_(compiler_beside_us()) {
  const std::vector<std::string> dialects = dialects_of(library_);
  std::int32_t plugin_priority = INT32_MIN;
  for (const flagos_format_info_t& format : plugin_formats(device)) {
    if (std::strcmp(format.name, tile_format) == 0) plugin_priority = format.priority;
    if (std::find(dialects.begin(), dialects.end(), format.name) != dialects.end())
      roads_.push_back({format, target_of(device, format), compiler_of(device, format)});
  }
  std::stable_sort(roads_.begin(), roads_.end(),
                   [](const TileRoad& a, const TileRoad& b) { return a.format.priority > b.format.priority; });
  goes_first_ = std::any_of(roads_.begin(), roads_.end(), [&](const TileRoad& road) {
    const bool makes = (road.format.flags & (FLAGOS_FORMAT_FLAG_LOAD | FLAGOS_FORMAT_FLAG_COMPILE)) != 0;
    return makes && road.format.priority > plugin_priority;
  });
} catch (const Error& error) {
  if (error.status() != FLAGOS_STATUS_NOT_FOUND) throw;
  throw_error(FLAGOS_STATUS_UNSUPPORTED, "device {} takes no '{}': {}", device.info().id, tile_format, error.what());
}

std::string tile_pack_name(const std::string& digest, const std::string& plugin, const std::string& target) {
  std::string name = fmt::format("{}.{}.{}.ftb", digest, plugin, target);
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == ';' || c == '/' || c == '=' || c == ','; }, '_');
  return name;
}

std::string TileRoads::identity_of(const TileModule& module) const {
  const auto hash = module.hash();
  return fmt::format("{} {:016x}", hex(hash), library_.get_lowering_version());
}

Digest TileRoads::key(const TileModule& module, const TileRoad& road, const std::string& options) const {
  Hasher hasher;
  const auto hash = module.hash();
  hasher.add("flagos kernel 1").add(std::as_bytes(std::span(hash))).add(library_.get_lowering_version());
  hasher.add(device_.plugin().name()).add(road.format.name).add(road.target).add(road.compiler).add(options);
  return hasher.finish();
}

std::vector<std::string> accepted_targets(const std::string& target) {
  std::vector<std::string> targets = {target};
  const std::string mark = "isa=x86-64-v";
  const std::size_t at = target.find(mark);
  if (at == std::string::npos) return targets;
  const std::size_t digit = at + mark.size();
  const std::size_t end = std::min(target.find(';', digit), target.size());
  if (digit >= target.size()) return targets;
  // What a level has beside itself is not there below it.
  for (char level = target[digit]; level >= '2' && level <= '4'; --level) {
    const std::string lower = target.substr(0, digit) + level + target.substr(end);
    if (lower != target) targets.push_back(lower);
  }
  return targets;
}

void TileRoads::check_target(const TileBinary& binary) const {
  std::string known;
  for (const TileRoad& road : roads_) {
    const std::vector<std::string> accepted = accepted_targets(road.target);
    if (binary.plugin == device_.plugin().name() &&
        std::find(accepted.begin(), accepted.end(), binary.target) != accepted.end())
      return;
    known += (known.empty() ? "" : ", ") + road.target;
  }
  throw_error(FLAGOS_STATUS_UNSUPPORTED, "a binary for '{}' of plugin '{}'; device {} takes: {}", binary.target,
              binary.plugin, device_.info().id, known.empty() ? "none" : known);
}

// A pack's file says which text and lowering it was made of; one that is damaged or another's is as good as none.
std::optional<TileBinary> TileRoads::read_pack(const TileModule& module, const std::string& target) const {
  const KernelCache cache(KernelCache::read_settings(device_.runtime().reads_environment()));
  const auto hash = module.hash();
  const std::string name = tile_pack_name(hex(hash), device_.plugin().name(), target);
  const auto bytes = cache.find_in_packs(name);
  if (!bytes) return std::nullopt;
  try {
    TileBinary binary = read_tile_binary(*bytes);
    binary.is_kept = true;
    if (binary.module == identity_of(module) && binary.plugin == device_.plugin().name() && binary.target == target)
      return binary;
    log(FLAGOS_LOG_LEVEL_WARNING, "{} of a pack is not used: it was made of another text or by another version", name);
  } catch (const Error& error) {
    log(FLAGOS_LOG_LEVEL_WARNING, "{} of a pack is not used: {}", name, error.what());
  }
  return std::nullopt;
}

std::optional<TileBinary> TileRoads::find_in_packs(std::string_view text) {
  const TileModule module(library_, text);
  for (const TileRoad& road : roads_) {
    for (const std::string& target : accepted_targets(road.target)) {
      if (auto binary = read_pack(module, target)) return binary;
    }
  }
  return std::nullopt;
}

std::optional<TileBinary> TileRoads::find_kept(const TileModule& module, const TileRoad& road,
                                               const std::string& options) const {
  if (options.empty()) {
    if (auto binary = read_pack(module, road.target)) return binary;
  }
  const KernelCache cache(KernelCache::read_settings(device_.runtime().reads_environment()));
  const auto bytes = cache.find(key(module, road, options));
  if (!bytes) return std::nullopt;
  try {
    TileBinary binary = read_tile_binary(*bytes);
    binary.is_kept = true;
    if (binary.module == identity_of(module) && binary.target == road.target) return binary;
  } catch (const Error& error) {
    log(FLAGOS_LOG_LEVEL_WARNING, "a kept kernel is not used: {}", error.what());
  }
  return std::nullopt;
}

std::vector<TileRoad> TileRoads::choose(std::string& options) const {
  constexpr std::string_view mark = "target=";
  const std::size_t at = options.find(mark);
  if (at != 0 && (at == std::string::npos || options[at - 1] != ' ')) return roads_;
  const std::size_t end = std::min(options.find(' ', at), options.size());
  const std::string wanted = options.substr(at + mark.size(), end - at - mark.size());
  options.erase(at, end - at);
  options.erase(0, options.find_first_not_of(' '));
  std::vector<TileRoad> roads;
  std::string known;
  for (const TileRoad& road : roads_) {
    for (const std::string& target : accepted_targets(road.target)) {
      known += (known.empty() ? "" : ", ") + target;
      if (target == wanted) roads.push_back({road.format, target, road.compiler});
    }
  }
  if (roads.empty())
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "target '{}' is none of device {}; there are: {}", wanted, device_.info().id,
                known.empty() ? "none" : known);
  return roads;
}

TileBinary TileRoads::compile(const TileModule& module, const TileSource& source, const TileRoad& road,
                              const std::string& options) const {
  TileBinary binary;
  binary.module = identity_of(module);
  binary.plugin = device_.plugin().name();
  binary.target = road.target;
  binary.format = road.format.name;
  binary.maker = road.compiler;
  binary.kernels = records_of(module, source);
  const std::span<const std::byte> text = std::as_bytes(std::span(source.text()));
  if ((road.format.flags & FLAGOS_FORMAT_FLAG_COMPILE) == 0) {
    binary.image.assign(text.begin(), text.end());
    return binary;
  }
  const std::string all_options = join_options(source.options(), options);
  flagos_module_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.format = road.format.name;
  desc.data = text.data();
  desc.size_bytes = text.size();
  desc.options = all_options.c_str();
  flagos_compiled_t compiled{};
  compiled.struct_size = sizeof(compiled);
  const flagos_status_t status = device_.tables().module.compile(device_.native(), &desc, &compiled);
  struct Free {
    Device& device;
    flagos_compiled_t& compiled;
    ~Free() {
      if (compiled.log != nullptr) device.tables().module.free_compiled(device.native(), &compiled);
    }
  } free_at_end{device_, compiled};
  if (compiled.log != nullptr) binary.log = compiled.log;
  if (status == FLAGOS_STATUS_COMPILE_FAILED) {
    try {
      expect(status, "module.compile");
    } catch (const Error& error) {
      throw TileCompileError(fmt::format("{} of a portable kernel: {}", road.format.name, error.what()), binary.log);
    }
  }
  expect(status, "module.compile");
  if (compiled.data == nullptr || compiled.format == nullptr)
    throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "the plugin returned OK and no image from module.compile");
  const auto* bytes = static_cast<const std::byte*>(compiled.data);
  binary.image.assign(bytes, bytes + compiled.size_bytes);
  binary.format = compiled.format;
  return binary;
}

// Nothing when the format is one of binaries only.
std::optional<TileBinary> TileRoads::make_on(const TileModule& module, const TileRoad& road, const std::string& options,
                                             bool anew) const {
  KernelDump dump(device_, module, road.target);
  if (!dump.enabled() && !anew) {
    if (auto kept = find_kept(module, road, options)) return kept;
  }
  if ((road.format.flags & (FLAGOS_FORMAT_FLAG_LOAD | FLAGOS_FORMAT_FLAG_COMPILE)) == 0) return std::nullopt;
  const TileSource source(module, road.target);
  dump.source(road.format.name, source.text());
  try {
    TileBinary binary = compile(module, source, road, options);
    dump.result(binary);
    KernelCache(KernelCache::read_settings(device_.runtime().reads_environment()))
        .store(key(module, road, options), write_tile_binary(binary));
    return binary;
  } catch (const TileCompileError& error) {
    dump.failure(error.log());
    throw;
  }
}

TileBinary TileRoads::make(std::string_view text, const std::string& given_options, bool anew) {
  std::string options = given_options;
  const std::vector<TileRoad> roads = choose(options);
  const TileModule module(library_, text);
  std::optional<Error> first;
  for (const TileRoad& road : roads) {
    try {
      if (auto binary = make_on(module, road, options, anew)) return std::move(*binary);
    } catch (const Error& error) {
      // What one dialect lacks another may have.
      if (error.status() != FLAGOS_STATUS_UNSUPPORTED) throw;
      if (!first) first = error;
    }
  }
  if (first) throw Error(*first);
  throw_error(FLAGOS_STATUS_UNSUPPORTED, "device {} takes no format that '{}' is lowered to", device_.info().id,
              tile_format);
}

}  // namespace flagos::core

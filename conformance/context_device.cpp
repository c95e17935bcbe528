// The plugin under test as a case sees it: runtime, device, kernels, and the smoke test.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>

#include <unistd.h>

#include "conformance/context_state.hpp"
#include "conformance/features.hpp"

namespace flagos::conformance {
namespace {

constexpr std::uint64_t wait_ns = 60'000'000'000;

struct Candidate {
  flagos_format_info_t format;
  std::string path;
};

// Formats of the device that load and for which the suite has a pack.
std::vector<Candidate> usable_formats(Context& t) {
  std::uint32_t count = 0;
  t.ok(flagos_module_get_format_count(t.device(), &count), "flagos_module_get_format_count");
  std::vector<Candidate> usable;
  for (std::uint32_t i = 0; i < count; ++i) {
    flagos_format_info_t info{};
    info.struct_size = sizeof(info);
    t.ok(flagos_module_get_format(t.device(), i, &info), "flagos_module_get_format");
    const std::string path = fmt::format("{}/kernels.{}", t.settings().kernels_dir, info.name);
    const bool loads = (info.flags & FLAGOS_FORMAT_FLAG_LOAD) != 0;
    if (loads && access(path.c_str(), R_OK) == 0) usable.push_back({info, path});
  }
  return usable;
}

std::string format_names(Context& t) {
  std::string names;
  std::uint32_t count = 0;
  flagos_module_get_format_count(t.device(), &count);
  for (std::uint32_t i = 0; i < count; ++i) {
    flagos_format_info_t info{};
    info.struct_size = sizeof(info);
    if (flagos_module_get_format(t.device(), i, &info) != FLAGOS_STATUS_OK) break;
    names += (names.empty() ? "" : ", ") + std::string(info.name);
  }
  return names.empty() ? "none" : names;
}

std::vector<std::uint8_t> read_file(Context& t, const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<std::uint8_t> bytes((std::istreambuf_iterator<char>(file)), {});
  if (!file.good() && !file.eof()) bytes.clear();
  if (bytes.empty()) t.state().end(Status::harness_error, fmt::format("cannot read '{}'", path));
  return bytes;
}

// Why the plugin was refused, as the candidate list has it.
std::string rejection(flagos_runtime_t* runtime) {
  std::uint32_t count = 0;
  flagos_candidate_info_t info{};
  info.struct_size = sizeof(info);
  if (flagos_runtime_get_candidate_count(runtime, &count) != FLAGOS_STATUS_OK || count == 0)
    return "";
  if (flagos_runtime_get_candidate(runtime, count - 1, &info) != FLAGOS_STATUS_OK) return "";
  return info.reason;
}

// Every group of 64 values differs from the others, so that a dropped block shows.
std::vector<std::uint32_t> smoke_values(Context& t) {
  std::vector<std::uint32_t> values(4096);
  std::mt19937 engine(static_cast<std::uint32_t>(t.settings().seed) ^ 0x5eedu);
  for (auto& value : values) value = static_cast<std::uint32_t>(engine());
  return values;
}

std::span<const std::uint8_t> bytes_of(const std::vector<std::uint32_t>& values) {
  return {reinterpret_cast<const std::uint8_t*>(values.data()), values.size() * 4};
}

}  // namespace

flagos_runtime_t* Context::runtime() {
  const std::lock_guard lock(state_->setup);
  if (state_->runtime != nullptr) return state_->runtime;
  flagos_runtime_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.abi_version = FLAGOS_ABI_VERSION;
  desc.flags = FLAGOS_RUNTIME_FLAG_NO_SEARCH;
  flagos_runtime_t* runtime = nullptr;
  const flagos_status_t created = flagos_runtime_create(&desc, &runtime);
  if (created != FLAGOS_STATUS_OK) {
    state_->end(Status::fail, fmt::format("flagos_runtime_create: {}: {}",
                                          flagos_status_get_name(created), flagos_last_error()));
  }
  const flagos_status_t added =
      flagos_runtime_add_plugin(runtime, state_->settings.plugin_path.c_str());
  if (added != FLAGOS_STATUS_OK) {
    const std::string reason = rejection(runtime);
    flagos_runtime_destroy(runtime);
    state_->end(Status::fail, fmt::format("the plugin was refused: {}: {}",
                                          flagos_status_get_name(added), reason));
  }
  state_->runtime = runtime;
  return runtime;
}

flagos_device_t* Context::device() {
  const std::lock_guard lock(state_->setup);
  if (state_->device != nullptr) return state_->device;
  const flagos_status_t opened =
      flagos_device_open(runtime(), state_->settings.device_ordinal, &state_->device);
  if (opened != FLAGOS_STATUS_OK) {
    state_->device = nullptr;
    state_->end(Status::fail, fmt::format("flagos_device_open of device {}: {}: {}",
                                          state_->settings.device_ordinal,
                                          flagos_status_get_name(opened), flagos_last_error()));
  }
  return state_->device;
}

const flagos_device_info_t& Context::info() {
  const std::lock_guard lock(state_->setup);
  if (state_->info) return *state_->info;
  flagos_device_info_t info{};
  info.struct_size = sizeof(info);
  ok(flagos_device_get_info(device(), &info), "flagos_device_get_info");
  return state_->info.emplace(info);
}

flagos_support_t Context::support(flagos_feature_t feature) {
  flagos_support_t support = FLAGOS_SUPPORT_ABSENT;
  const flagos_status_t status = flagos_device_get_feature(device(), feature, &support);
  if (status != FLAGOS_STATUS_OK) {
    state_->end(Status::fail,
                fmt::format("flagos_device_get_feature({}): {}: {}", feature_name(feature),
                            flagos_status_get_name(status), flagos_last_error()));
  }
  return support;
}

void Context::require(flagos_feature_t feature) {
  if (support(feature) != FLAGOS_SUPPORT_ABSENT) return;
  state_->excused = true;
  not_supported(fmt::format("feature {} is absent", feature_name(feature)));
}

void Context::require_capability(std::uint64_t capability) {
  const std::uint64_t missing = capability & ~info().capabilities;
  if (missing == 0) return;
  state_->excused = true;
  not_supported(
      fmt::format("capability {} is not offered", fmt::join(capability_names(missing), ", ")));
}

Pack find_pack(Context& t) {
  const std::vector<Candidate> usable = usable_formats(t);
  if (usable.empty()) {
    t.state().end(
        Status::not_run,
        fmt::format("the suite has no kernels in a format that the device takes ({}) in {}",
                    format_names(t), t.settings().kernels_dir));
  }
  const auto best = std::max_element(
      usable.begin(), usable.end(),
      [](const Candidate& a, const Candidate& b) { return a.format.priority < b.format.priority; });
  const bool by_path = (best->format.flags & FLAGOS_FORMAT_FLAG_PATH) != 0;
  return {best->format.name, best->path, by_path};
}

flagos_module_t* Context::module() {
  const std::lock_guard lock(state_->setup);
  if (state_->module != nullptr) return state_->module;
  const Pack pack = find_pack(*this);
  flagos_module_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.format = pack.format.c_str();
  std::vector<std::uint8_t> image;
  if (pack.by_path) {
    desc.path = pack.path.c_str();
  } else {
    image = read_file(*this, pack.path);
    desc.data = image.data();
    desc.size_bytes = image.size();
  }
  ok(flagos_module_load(device(), &desc, &state_->module),
     fmt::format("flagos_module_load of the suite's {}", pack.path));
  return state_->module;
}

flagos_kernel_t* Context::kernel(const std::string& name) {
  const std::lock_guard lock(state_->setup);
  const auto known = state_->kernels.find(name);
  if (known != state_->kernels.end()) return known->second;
  flagos_kernel_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.name = name.c_str();
  flagos_kernel_t* kernel = nullptr;
  ok(flagos_module_get_kernel(module(), &desc, &kernel),
     fmt::format("flagos_module_get_kernel of the suite's kernel '{}'", name));
  return state_->kernels[name] = kernel;
}

std::vector<std::uint8_t> Context::module_image(std::string* out_format) {
  const Pack pack = find_pack(*this);
  if (out_format != nullptr) *out_format = pack.format;
  return read_file(*this, pack.path);
}

std::string Context::module_path() { return find_pack(*this).path; }

void copy_and_wait(Context& t, flagos_address_t target, flagos_address_t source,
                   std::uint64_t size) {
  Context::State& state = t.state();
  {
    const std::lock_guard lock(state.setup);
    if (state.service_stream == nullptr) {
      t.ok(flagos_stream_create(t.device(), nullptr, &state.service_stream),
           "flagos_stream_create for the suite's own copies");
    }
  }
  t.ok(flagos_memory_copy(state.service_stream, target, source, size),
       "flagos_memory_copy of the suite's own data");
  t.ok(flagos_stream_synchronize(state.service_stream, wait_ns),
       "flagos_stream_synchronize behind the suite's own copy");
}

void Context::smoke() {
  std::vector<std::uint32_t> values = smoke_values(*this);
  const auto count = static_cast<std::uint32_t>(values.size());
  Stream stream(*this);
  Buffer data(*this, values.size() * 4);
  Buffer copy(*this, values.size() * 4);
  data.write(bytes_of(values));
  launch(*this, stream, kernel("add_one"), {(count + 63) / 64},
         {std::min(64u, info().max_block[0])}, {arg(data.address()), arg_u32(count)});
  ok(flagos_memory_copy(stream, copy.address(), data.address(), data.size()),
     "smoke: flagos_memory_copy");
  stream.synchronize();
  for (auto& value : values) ++value;
  equal_bytes(copy.read(), bytes_of(values), "smoke: every value plus one");
}

namespace {

void note_failure(Context& t, flagos_status_t status, const char* what) {
  if (status == FLAGOS_STATUS_OK || status == FLAGOS_STATUS_DEVICE_LOST) return;
  const bool busy = status == FLAGOS_STATUS_BUSY;
  t.state().note(busy ? Status::leak : Status::fail,
                 fmt::format("{} after the case: {}: {}", what, flagos_status_get_name(status),
                             flagos_last_error()));
}

}  // namespace

void tear_down(Context& t) {
  Context::State& state = t.state();
  if (state.service_stream != nullptr) {
    note_failure(t, flagos_stream_destroy(state.service_stream), "flagos_stream_destroy");
  }
  if (state.module != nullptr) {
    note_failure(t, flagos_module_unload(state.module), "flagos_module_unload");
  }
  if (state.device != nullptr) {
    note_failure(t, flagos_device_close(state.device), "flagos_device_close");
  }
  if (state.runtime != nullptr) {
    note_failure(t, flagos_runtime_destroy(state.runtime), "flagos_runtime_destroy");
  }
}

}  // namespace flagos::conformance

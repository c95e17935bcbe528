#include "plugins/vulkan/host.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>

namespace flagos::vulkan {

Host::Host(const flagos_host_t& host) noexcept {
  // Core may be older or newer than our header: take what both know, the rest stays NULL.
  std::memcpy(&host_, &host, std::min<std::size_t>(host.struct_size, sizeof(host_)));
}

void Host::set_error(flagos_status_t status, const char* text) const noexcept {
  host_.set_error(host_.context, status, text);
}

void Host::log(flagos_log_level_t level, const std::string& text) const noexcept {
  if (host_.log != nullptr) host_.log(host_.context, level, text.c_str());
}

void Host::report_device_error(flagos_plugin_device_t* device, flagos_status_t status,
                               const char* text) const noexcept {
  if (host_.report_device_error != nullptr)
    host_.report_device_error(host_.context, device, status, text);
}

void Host::emit_record(flagos_plugin_device_t* device,
                       const flagos_record_t& record) const noexcept {
  if (host_.emit_record != nullptr) host_.emit_record(host_.context, device, &record);
}

std::string Host::get_config(const char* name) const {
  const char* text = host_.get_config != nullptr ? host_.get_config(host_.context, name) : nullptr;
  return text != nullptr ? text : "";
}

Failure make_failure(flagos_status_t status, const char* text) noexcept {
  Failure failure;
  guard([&] { failure = std::make_shared<const Error>(status, text); },
        [](flagos_status_t, const char*) {});
  if (failure) return failure;
  // Never destroyed: threads may run until the process is gone.
  static const Failure& no_memory = *new Failure(
      std::make_shared<const Error>(FLAGOS_STATUS_OUT_OF_HOST_MEMORY, "out of host memory"));
  return no_memory;
}

std::uint64_t host_now_ns() noexcept {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

}  // namespace flagos::vulkan

#include "plugins/cpu/host.hpp"

#include <charconv>
#include <cstring>
#include <string_view>

#include "plugins/cpu/wait.hpp"

namespace flagos::cpu {

Host::Host(const flagos_host_t& host) noexcept {
  // Core may be older or newer than our header: take what both know, the rest stays NULL.
  std::memcpy(&host_, &host, host.struct_size < sizeof(host_) ? host.struct_size : sizeof(host_));
}

void Host::set_error(flagos_status_t status, const char* text) const noexcept {
  host_.set_error(host_.context, status, text);
}

void Host::log(flagos_log_level_t level, const std::string& text) const noexcept {
  if (host_.log != nullptr) host_.log(host_.context, level, text.c_str());
}

void Host::emit_record(flagos_plugin_device_t* device,
                       const flagos_record_t& record) const noexcept {
  if (host_.emit_record != nullptr) host_.emit_record(host_.context, device, &record);
}

std::uint64_t Host::now_ns() const noexcept {
  return host_.now_ns != nullptr ? host_.now_ns(host_.context) : cpu::now_ns();
}

const char* Host::get_text(const char* name) const noexcept {
  return host_.get_config != nullptr ? host_.get_config(host_.context, name) : nullptr;
}

std::uint32_t Host::get_count(const char* name, std::uint32_t fallback,
                              std::uint32_t maximum) const {
  const char* text = get_text(name);
  if (text == nullptr || *text == '\0') return fallback;
  const std::string_view view = text;
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(view.data(), view.data() + view.size(), value);
  if (error != std::errc() || end != view.data() + view.size() || value == 0 || value > maximum)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{} is '{}', expected a number from 1 to {}", name,
                view, maximum);
  return value;
}

Failure make_failure(flagos_status_t status, const char* text) noexcept {
  Failure failure;
  guard([&] { failure = std::make_shared<const Error>(status, text); },
        [](flagos_status_t, const char*) {});
  if (failure) return failure;
  // Never destroyed: workers may run until the process is gone.
  static const Failure& no_memory = *new Failure(
      std::make_shared<const Error>(FLAGOS_STATUS_OUT_OF_HOST_MEMORY, "out of host memory"));
  return no_memory;
}

}  // namespace flagos::cpu

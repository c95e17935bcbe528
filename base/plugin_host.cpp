#include "base/plugin_host.hpp"

#include <time.h>

#include <charconv>
#include <cstring>

namespace flagos {

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

void Host::emit_record(flagos_plugin_device_t* device, const flagos_record_t& record) const noexcept {
  if (host_.emit_record != nullptr) host_.emit_record(host_.context, device, &record);
}

void Host::report_lost(flagos_plugin_device_t* device, const char* text) const noexcept {
  if (host_.report_device_error != nullptr)
    host_.report_device_error(host_.context, device, FLAGOS_STATUS_DEVICE_LOST, text);
}

std::uint64_t Host::now_ns() const noexcept {
  return host_.now_ns != nullptr ? host_.now_ns(host_.context) : monotonic_ns();
}

std::string_view Host::get_config(const char* name) const noexcept {
  const char* text = host_.get_config != nullptr ? host_.get_config(host_.context, name) : nullptr;
  return text != nullptr ? text : "";
}

bool Host::get_switch(const char* name) const {
  const std::string_view text = get_config(name);
  if (text.empty() || text == "0") return false;
  if (text == "1") return true;
  throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{} is '{}', expected 0 or 1", name, text);
}

std::uint32_t Host::get_count(const char* name, std::uint32_t fallback, std::uint32_t maximum) const {
  const std::string_view text = get_config(name);
  if (text.empty()) return fallback;
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value == 0 || value > maximum)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{} is '{}', expected a number from 1 to {}", name, text, maximum);
  return value;
}

namespace {

// Made with the library, since there is no memory for it when it is wanted. Never destroyed: the driver's threads may call
// back until the process is gone.
const Failure& no_memory =
    *new Failure(std::make_shared<const Error>(FLAGOS_STATUS_OUT_OF_HOST_MEMORY, "out of host memory"));

}  // namespace

Failure make_failure(flagos_status_t status, const char* text) noexcept {
  Failure failure;
  guard([&] { failure = std::make_shared<const Error>(status, text); }, [](flagos_status_t, const char*) {});
  return failure ? failure : no_memory;
}

std::uint64_t monotonic_ns() noexcept {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(time.tv_nsec);
}

}  // namespace flagos

// The services of core, as C++: error text, log, variables, records.
#pragma once

#include <flagos_plugin.h>

#include <cstdint>
#include <memory>
#include <string>

#include "base/error.hpp"
#include "base/guard.hpp"

namespace flagos::vulkan {

class Host {
 public:
  explicit Host(const flagos_host_t& host) noexcept;

  void set_error(flagos_status_t status, const char* text) const noexcept;
  void log(flagos_log_level_t level, const std::string& text) const noexcept;
  void report_device_error(flagos_plugin_device_t* device, flagos_status_t status,
                           const char* text) const noexcept;
  void emit_record(flagos_plugin_device_t* device, const flagos_record_t& record) const noexcept;
  // The value of a variable, "" when it is not set.
  std::string get_config(const char* name) const;

 private:
  flagos_host_t host_{};
};

// Why an operation failed, kept by streams, records and timelines.
using Failure = std::shared_ptr<const Error>;

// Never NULL, also when there is no memory for a new one.
Failure make_failure(flagos_status_t status, const char* text) noexcept;

// The host's monotonic clock.
std::uint64_t host_now_ns() noexcept;

// The body of an entry: what it throws becomes a status and the calling thread's error text.
template <typename Body>
flagos_status_t entry(const Host& host, Body&& body) noexcept {
  return guard(std::forward<Body>(body),
               [&](flagos_status_t status, const char* text) { host.set_error(status, text); });
}

}  // namespace flagos::vulkan

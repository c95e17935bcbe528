// What core does for a plugin, as C++: error text, log, variables, records.
#pragma once

#include <flagos_plugin.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/guard.hpp"

namespace flagos {

class Host {
 public:
  explicit Host(const flagos_host_t& host) noexcept;

  void set_error(flagos_status_t status, const char* text) const noexcept;
  void log(flagos_log_level_t level, const std::string& text) const noexcept;
  void emit_record(flagos_plugin_device_t* device, const flagos_record_t& record) const noexcept;
  void report_lost(flagos_plugin_device_t* device, const char* text) const noexcept;
  std::uint64_t now_ns() const noexcept;
  // "" when the variable is not set.
  std::string_view get_config(const char* name) const noexcept;
  // A variable that is 0 or 1; not set is 0. Throws INVALID_ARGUMENT for anything else.
  bool get_switch(const char* name) const;
  // A variable that counts something, or `fallback` when it is not set. What is no number in [1, maximum] throws
  // INVALID_ARGUMENT: a typing error must not silently change the machine.
  std::uint32_t get_count(const char* name, std::uint32_t fallback, std::uint32_t maximum) const;

 private:
  flagos_host_t host_{};
};

// Why an operation failed, kept by streams and records.
using Failure = std::shared_ptr<const Error>;

// Never NULL, also when there is no memory for a new one.
Failure make_failure(flagos_status_t status, const char* text) noexcept;

// The body of an entry: what it throws becomes a status and the calling thread's error text.
template <typename Body>
flagos_status_t entry(const Host& host, Body&& body) noexcept {
  return guard(std::forward<Body>(body),
               [&](flagos_status_t status, const char* text) { host.set_error(status, text); });
}

std::uint64_t monotonic_ns() noexcept;

}  // namespace flagos

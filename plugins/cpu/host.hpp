// The services of core, as C++: error text, log, variables, records.
#pragma once

#include <flagos_plugin.h>

#include <cstdint>
#include <memory>
#include <string>

#include "base/error.hpp"
#include "base/guard.hpp"

namespace flagos::cpu {

class Host {
 public:
  explicit Host(const flagos_host_t& host) noexcept;

  void set_error(flagos_status_t status, const char* text) const noexcept;
  void log(flagos_log_level_t level, const std::string& text) const noexcept;
  void emit_record(flagos_plugin_device_t* device, const flagos_record_t& record) const noexcept;
  std::uint64_t now_ns() const noexcept;
  // The value of a variable, or NULL.
  const char* get_text(const char* name) const noexcept;
  // The value of a variable that counts something, or `fallback` when it is not set. A value that
  // is no number in [1, maximum] throws INVALID_ARGUMENT: a typing error must not silently change
  // the machine.
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

}  // namespace flagos::cpu

// The one exception that is thrown inside flagos and its plugins; a guard turns it into a status and a text.
#pragma once

#include <flagos.h>

#include <fmt/format.h>

#include <exception>
#include <string>
#include <utility>

namespace flagos {

class Error : public std::exception {
 public:
  Error(flagos_status_t status, std::string text) : status_(status), text_(std::move(text)) {}

  flagos_status_t status() const noexcept { return status_; }
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  flagos_status_t status_;
  std::string text_;
};

// throw_error(FLAGOS_STATUS_NOT_FOUND, "no kernel '{}'", name)
template <typename... Args>
[[noreturn]] void throw_error(flagos_status_t status, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(status, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace flagos

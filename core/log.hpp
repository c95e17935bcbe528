// The one log of the process: to stderr, or to the application's callback. Control characters are escaped.
#pragma once

#include <flagos.h>

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

namespace flagos::core {

bool log_enabled(flagos_log_level_t level) noexcept;
void log_line(flagos_log_level_t level, std::string_view text) noexcept;
// NULL sends it back to stderr.
void set_log_callback(flagos_log_callback_t callback, void* user_data, flagos_log_level_t min_level);
void set_log_level(flagos_log_level_t level) noexcept;

template <typename... Args>
void log(flagos_log_level_t level, fmt::format_string<Args...> format, Args&&... args) noexcept {
  if (!log_enabled(level)) return;
  try {
    log_line(level, fmt::format(format, std::forward<Args>(args)...));
  } catch (...) {
    log_line(level, "a log line could not be formatted");
  }
}

// The length of the valid UTF-8 sequence at the start of `text`, which is not empty; 0 when there is none.
std::size_t utf8_length(std::string_view text) noexcept;

// `text` with control characters and invalid UTF-8 written as \xNN.
std::string escape(std::string_view text);

}  // namespace flagos::core

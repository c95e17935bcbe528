// The only user of spdlog.
#include "core/log.hpp"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <memory>
#include <mutex>

#include "core/entry.hpp"

namespace flagos::core {

namespace {

class CallbackSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  CallbackSink(flagos_log_callback_t callback, void* user_data) : callback_(callback), user_data_(user_data) {}
  // Waits for a running callback and silences later ones: the owner may free user_data afterwards.
  void silence() {
    std::lock_guard lock(mutex_);
    callback_ = nullptr;
  }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (callback_ == nullptr) return;
    const std::string text(message.payload.data(), message.payload.size());
    callback_(user_data_, static_cast<flagos_log_level_t>(message.level), text.c_str());
  }
  void flush_() override {}

  flagos_log_callback_t callback_;
  void* user_data_;
};

struct State {
  std::mutex mutex;
  std::shared_ptr<spdlog::logger> logger;
  std::shared_ptr<CallbackSink> callback;
};

std::shared_ptr<spdlog::logger> stderr_logger() {
  auto logger = std::make_shared<spdlog::logger>("flagos", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("[flagos] [%l] %v");
  logger->set_level(spdlog::level::trace);
  return logger;
}

State& state() {
  static auto* the_state = [] {
    auto* made = new State;  // never destroyed: lines may come until the end of the process
    made->logger = stderr_logger();
    return made;
  }();
  return *the_state;
}

std::atomic<flagos_log_level_t> lowest_level{FLAGOS_LOG_LEVEL_WARNING};

}  // namespace

bool log_enabled(flagos_log_level_t level) noexcept {
  return level >= lowest_level.load(std::memory_order_relaxed) && level < FLAGOS_LOG_LEVEL_OFF;
}

std::size_t utf8_length(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xc2 && first < 0xe0   ? 2
                             : first >= 0xe0 && first < 0xf0 ? 3
                             : first >= 0xf0 && first < 0xf5 ? 4
                                                             : 0;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0u) != 0x80u) return 0;
  }
  return length;
}

std::string escape(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const auto first = static_cast<unsigned char>(text[0]);
    const std::size_t length = utf8_length(text);
    if (length == 0 || first < 0x20 || first == 0x7f) {
      result += fmt::format("\\x{:02x}", first);
      text.remove_prefix(1);
    } else {
      result.append(text.substr(0, length));
      text.remove_prefix(length);
    }
  }
  return result;
}

void log_line(flagos_log_level_t level, std::string_view text) noexcept {
  try {
    std::shared_ptr<spdlog::logger> logger;
    {
      std::lock_guard lock(state().mutex);
      logger = state().logger;
    }
    logger->log(static_cast<spdlog::level::level_enum>(level), "{}", escape(text));
  } catch (...) {  // a log that cannot be written is no reason to fail
  }
}

void set_log_callback(flagos_log_callback_t callback, void* user_data, flagos_log_level_t min_level) {
  if (min_level < FLAGOS_LOG_LEVEL_TRACE || min_level > FLAGOS_LOG_LEVEL_OFF)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "min_level is {}, not a FLAGOS_LOG_LEVEL_*", min_level);
  std::shared_ptr<CallbackSink> sink;
  std::shared_ptr<spdlog::logger> logger;
  if (callback != nullptr) {
    sink = std::make_shared<CallbackSink>(callback, user_data);
    logger = std::make_shared<spdlog::logger>("flagos", sink);
    logger->set_level(spdlog::level::trace);
  } else {
    logger = stderr_logger();
  }
  {
    std::lock_guard lock(state().mutex);
    std::swap(state().logger, logger);
    std::swap(state().callback, sink);
  }
  if (sink != nullptr) sink->silence();
  set_log_level(min_level);
}

void set_log_level(flagos_log_level_t level) noexcept { lowest_level.store(level, std::memory_order_relaxed); }

}  // namespace flagos::core

flagos_status_t flagos_set_log_callback(flagos_log_callback_t callback, void* user_data, flagos_log_level_t min_level) {
  using namespace flagos::core;
  return entry(__func__, [&] { set_log_callback(callback, user_data, min_level); });
}
